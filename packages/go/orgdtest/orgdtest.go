// Package orgdtest gives each test an orgd server of its own: a PostHog-compatible organization API to test clients
// against.
//
//	func TestInvite(t *testing.T) {
//		orgd := orgdtest.Fork(t)
//		orgd.Fail("POST /api/organizations/{id}/invites/", orgdtest.Fault{Status: 429, RetryAfter: "1", Times: 2})
//		myClient(orgd.URL, orgd.Key).Invite("grace@example.com")
//		orgd.AssertRequests("POST /api/organizations/{id}/invites/", orgdtest.Count(3))
//		orgd.Advance("96h") // the invite has expired
//	}
//
// One server is started for each test program; it ends with it. The program is the one that ORGD_BIN names, or the orgd on
// the path; where ORGD_URL is set, that server is used, with the key ORGD_KEY.
package orgdtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	reportedRequests = 20
	forkSeconds      = 3600
	// Nothing may hang for ever; the server itself waits for a minute at the most.
	timeout = 90 * time.Second
)

// Server is a server for one test. Its methods fail the test where the server refuses.
type Server struct {
	URL            string
	Key            string
	ProjectID      int
	ProjectToken   string
	OrganizationID string

	t    testing.TB
	base *base
	id   string
}

// Fault is what Fail makes happen. Its fields are those of a rule; what is zero is not said.
type Fault struct {
	Status        int
	RetryAfter    string
	Headers       map[string]string
	JSON          any
	Text          string
	Times         int
	Skip          int
	CutAfterBytes *int
	Reset         bool
	SilenceS      int
	DelayMS       int
	// AfterCommit carries the request out and spoils its answer.
	AfterCommit bool
	// Key is the label of a key.
	Key     string
	AnyPath bool
}

// ShownFault is a rule, with how often it has fired.
type ShownFault struct {
	ID    string          `json:"id"`
	Seen  int             `json:"seen"`
	Fired int             `json:"fired"`
	Rule  json.RawMessage `json:"rule"`
}

// Mail is a mail that would have gone out.
type Mail struct {
	N        int      `json:"n"`
	At       string   `json:"at"`
	To       string   `json:"to"`
	Subject  string   `json:"subject"`
	Text     string   `json:"text"`
	HTML     string   `json:"html"`
	Links    []string `json:"links"`
	InviteID string   `json:"invite_id"`
}

// Event is an event that was stored.
type Event struct {
	UUID       string         `json:"uuid"`
	Event      string         `json:"event"`
	DistinctID string         `json:"distinct_id"`
	Timestamp  string         `json:"timestamp"`
	ProjectID  int            `json:"project_id"`
	Properties map[string]any `json:"properties"`
}

// Request is what a client has sent, and was answered: Status is 0 until then.
type Request struct {
	N          int             `json:"n"`
	At         string          `json:"at"`
	Method     string          `json:"method"`
	Path       string          `json:"path"`
	Row        string          `json:"row"`
	Query      string          `json:"query"`
	Status     int             `json:"status"`
	Key        string          `json:"key"`
	Agent      string          `json:"agent"`
	JSON       json.RawMessage `json:"json"`
	Fault      string          `json:"fault"`
	Repeats    int             `json:"repeats"`
	CarriedOut int             `json:"carried_out"`
}

// Advanced is what an advance of the clock did.
type Advanced struct {
	Now     time.Time `json:"now"`
	Settled bool      `json:"settled"`
	Fired   []struct {
		What  string    `json:"what"`
		At    time.Time `json:"at"`
		Count int       `json:"count"`
	} `json:"fired"`
	Open []string `json:"open"`
}

// Refused is an answer by which the server refuses a call that controls it.
type Refused struct {
	Call   string
	Status int
	Body   string
}

func (r *Refused) Error() string {
	var envelope struct{ Detail string }
	if json.Unmarshal([]byte(r.Body), &envelope) != nil || envelope.Detail == "" {
		envelope.Detail = shortened(r.Body)
	}
	return fmt.Sprintf("%s: %d: %s", r.Call, r.Status, envelope.Detail)
}

// Option chooses requests, mails and events, or says how many are wanted.
type Option func(options map[string]any)

// Count wants exactly so many requests.
func Count(n int) Option { return set("count", n) }

// AtLeast wants so many requests or more.
func AtLeast(n int) Option { return set("at_least", n) }

// Never wants no request.
func Never() Option { return set("never", true) }

// WithJSON chooses requests whose body has this at the least.
func WithJSON(json any) Option { return set("json", json) }

// WithStatus chooses requests that were answered so.
func WithStatus(status int) Option { return set("status", status) }

// WithKey chooses requests with the key of this label.
func WithKey(label string) Option { return set("key", label) }

// To chooses mails to an address.
func To(address string) Option { return set("to", address) }

// Named chooses events of a name.
func Named(event string) Option { return set("event", event) }

// Wait waits, for so long at the most, until there are so many.
func Wait(count int, most time.Duration) Option {
	return func(options map[string]any) {
		options["wait_count"], options["wait_ms"] = count, most.Milliseconds()
	}
}

func set(name string, value any) Option {
	return func(options map[string]any) { options[name] = value }
}

// Fork gives a test a server of its own, which ends with the test; its data is checked then. It may be called by parallel
// tests. If the test fails, its log says what the server was asked.
func Fork(t testing.TB) *Server {
	t.Helper()
	base, err := shared()
	if err != nil {
		t.Fatalf("orgdtest: %v", err)
	}
	return base.fork(t, "start")
}

// Fork gives a server of its own that begins with what this one holds now.
func (s *Server) Fork() *Server {
	s.t.Helper()
	return (&base{url: s.URL, ready: s.base.ready}).fork(s.t, "")
}

// Fail makes requests of a route fail, such as "POST /api/organizations/{id}/invites/", and returns the rule's name.
func (s *Server) Fail(route string, fault Fault) string {
	s.t.Helper()
	rule := map[string]any{"match": routeOf(route)}
	if fault.Key != "" {
		rule["match"].(map[string]any)["key"] = fault.Key
	}
	if fault.Status != 0 {
		headers := map[string]string{}
		for name, value := range fault.Headers {
			headers[name] = value
		}
		if fault.RetryAfter != "" {
			headers["Retry-After"] = fault.RetryAfter
		}
		answer := map[string]any{"status": fault.Status, "headers": headers}
		if fault.JSON != nil {
			answer["json"] = fault.JSON
		}
		if fault.Text != "" {
			answer["text"] = fault.Text
		}
		rule["answer"] = answer
	}
	for name, number := range map[string]int{
		"times": fault.Times, "skip": fault.Skip, "silence_s": fault.SilenceS, "delay_ms": fault.DelayMS,
	} {
		if number != 0 {
			rule[name] = number
		}
	}
	if fault.CutAfterBytes != nil {
		rule["cut_after_bytes"] = *fault.CutAfterBytes
	}
	for name, on := range map[string]bool{"reset": fault.Reset, "after_commit": fault.AfterCommit, "any_path": fault.AnyPath} {
		if on {
			rule[name] = true
		}
	}
	var made ShownFault
	s.control("POST", "faults", rule, &made)
	return made.ID
}

// Faults are the rules, with how often each has fired.
func (s *Server) Faults() []ShownFault {
	s.t.Helper()
	var found struct{ Faults []ShownFault }
	s.control("GET", "faults", nil, &found)
	return found.Faults
}

// Mails are the mails that would have gone out, the newest last.
func (s *Server) Mails(options ...Option) []Mail {
	s.t.Helper()
	var found []Mail
	s.control("GET", "mails?"+queryOf(nil, options), nil, &found)
	return found
}

// Events are the events that were stored, the newest last.
func (s *Server) Events(options ...Option) []Event {
	s.t.Helper()
	var found struct{ Events []Event }
	s.control("GET", "events?"+queryOf(nil, options), nil, &found)
	return found.Events
}

// Requests are what clients have sent to a route, the newest last; to any, if it is empty.
func (s *Server) Requests(route string, options ...Option) []Request {
	s.t.Helper()
	var found struct{ Requests []Request }
	s.control("GET", "requests?"+queryOf(routeOf(route), options), nil, &found)
	return found.Requests
}

// AssertRequests fails the test unless a route was called as it should be.
func (s *Server) AssertRequests(route string, options ...Option) {
	s.t.Helper()
	claim := routeOf(route)
	for _, option := range options {
		option(claim)
	}
	var verdict struct {
		OK      bool
		Why     string
		Nearest []int
	}
	s.control("POST", "requests/assert", claim, &verdict)
	if verdict.OK {
		return
	}
	said, _ := json.Marshal(claim)
	lines := []string{fmt.Sprintf("%s (%s)", verdict.Why, said)}
	for _, request := range s.Requests("") {
		for _, n := range verdict.Nearest {
			if n == request.N {
				lines = append(lines, request.String())
			}
		}
	}
	s.t.Error(strings.Join(lines, "\n"))
}

// Now is the time of the server.
func (s *Server) Now() time.Time {
	s.t.Helper()
	var clock struct{ Now time.Time }
	s.control("GET", "clock", nil, &clock)
	return clock.Now
}

// SetClock jumps to a time, and stands still there if frozen. Back only as long as nothing was written.
func (s *Server) SetClock(to time.Time, frozen bool) {
	s.t.Helper()
	s.control("POST", "clock", map[string]any{"set": to.UTC().Format(time.RFC3339Nano), "frozen": frozen}, nil)
}

// Advance moves time on, with all that is due on the way: "72h", "4d".
func (s *Server) Advance(by string) Advanced {
	s.t.Helper()
	var done Advanced
	s.control("POST", "clock", map[string]any{"advance": by}, &done)
	return done
}

// DNS says what the DNS answers.
func (s *Server) DNS(table map[string]map[string][]string) {
	s.t.Helper()
	s.control("PUT", "dns", table, nil)
}

// Snapshot keeps what there is now under a name, for Reset.
func (s *Server) Snapshot(name string) {
	s.t.Helper()
	s.control("POST", "snapshots", map[string]any{"name": name}, nil)
}

// Reset makes everything as a snapshot says, or as it was at the start if the name is empty.
func (s *Server) Reset(to string) {
	s.t.Helper()
	body := map[string]any{}
	if to != "" {
		body["to"] = to
	}
	s.control("POST", "reset", body, nil)
}

// Report has the last requests, and the faults that have not fired.
func (s *Server) Report() string {
	s.t.Helper()
	requests := s.Requests("")
	shown := requests
	if len(shown) > reportedRequests {
		shown = shown[len(shown)-reportedRequests:]
	}
	lines := []string{fmt.Sprintf("orgd at %s, requests (the last %d of %d):", s.URL, len(shown), len(requests))}
	for _, request := range shown {
		lines = append(lines, request.String())
	}
	for _, fault := range s.Faults() {
		if fault.Fired == 0 {
			lines = append(lines, fmt.Sprintf("fault %s has not fired: %s", fault.ID, shortened(string(fault.Rule))))
		}
	}
	return strings.Join(lines, "\n")
}

func (r Request) String() string {
	target := r.Path
	if r.Query != "" {
		target += "?" + r.Query
	}
	answer := "no answer"
	if r.Status != 0 {
		answer = fmt.Sprint(r.Status)
	}
	line := fmt.Sprintf("%4d  %s %s -> %s", r.N, r.Method, target, answer)
	if r.Fault != "" {
		line += "  fault " + r.Fault
	}
	if r.CarriedOut != 0 {
		line += fmt.Sprintf(" (carried out: %d)", r.CarriedOut)
	}
	if r.Repeats != 0 {
		line += fmt.Sprintf("  repeats %d", r.Repeats)
	}
	if len(r.JSON) > 0 {
		line += "  " + shortened(string(r.JSON))
	}
	return line
}

func (s *Server) control(method, what string, body, into any) {
	s.t.Helper()
	if err := call(s.URL, method, "/_orgd/"+what, "", body, into); err != nil {
		s.t.Fatalf("orgdtest: %v", err)
	}
}

// What a server says when it is ready.
type ready struct {
	URL            string `json:"url"`
	Key            string `json:"api_key"`
	OrganizationID string `json:"organization_id"`
	Project        struct {
		ID    int    `json:"id"`
		Token string `json:"api_token"`
	} `json:"project"`
}

// The server whose forks tests get.
type base struct {
	url   string
	ready ready
}

var shared = sync.OnceValues(func() (*base, error) {
	if at := os.Getenv("ORGD_URL"); at != "" {
		return running(strings.TrimSuffix(at, "/"))
	}
	program := os.Getenv("ORGD_BIN")
	if program == "" {
		program = "orgd"
	}
	command := exec.Command(program, "serve", "--test", "--exit-with-stdin")
	// Held open, and closed by the end of this process, which ends the server.
	if _, err := command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("there is no orgd, neither by ORGD_BIN nor on the path: %w", err)
	}
	var begun ready
	if err := json.NewDecoder(out).Decode(&begun); err != nil {
		return nil, fmt.Errorf("%s has ended: %v: %s", command, command.Wait(), said.String())
	}
	return &base{url: begun.URL, ready: begun}, nil
})

// A server that runs already, such as that of `orgd exec`.
func running(at string) (*base, error) {
	key := os.Getenv("ORGD_KEY")
	if key == "" {
		return nil, fmt.Errorf("the server at %s is known by ORGD_URL, but its key is not: set ORGD_KEY", at)
	}
	found := &base{url: at, ready: ready{URL: at, Key: key}}
	var organization struct{ ID string }
	if err := call(at, "GET", "/api/organizations/@current/", key, nil, &organization); err != nil {
		return nil, err
	}
	found.ready.OrganizationID = organization.ID
	var projects struct{ Results []struct{ ID int } }
	if err := call(at, "GET", "/api/organizations/"+organization.ID+"/projects/", key, nil, &projects); err != nil {
		return nil, err
	}
	id := os.Getenv("ORGD_PROJECT_ID")
	if id == "" && len(projects.Results) > 0 {
		id = fmt.Sprint(projects.Results[0].ID)
	}
	return found, call(at, "GET", "/api/projects/"+id+"/", key, nil, &found.ready.Project)
}

func (b *base) fork(t testing.TB, of string) *Server {
	t.Helper()
	wanted := map[string]any{"ttl_s": forkSeconds}
	if of != "" {
		wanted["of"] = of
	}
	var made struct{ ID, URL string }
	if err := call(b.url, "POST", "/_orgd/forks", "", wanted, &made); err != nil {
		var refused *Refused
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			err = fmt.Errorf("%s has no forks: a server with --test is wanted, of this version", b.url)
		}
		t.Fatalf("orgdtest: %v", err)
	}
	s := &Server{
		URL: beside(b.url, made.URL), Key: b.ready.Key, ProjectID: b.ready.Project.ID, ProjectToken: b.ready.Project.Token,
		OrganizationID: b.ready.OrganizationID, t: t, base: b, id: made.ID,
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Report())
		}
		if err := call(b.url, "DELETE", "/_orgd/forks/"+s.id+"?check=true", "", nil, nil); err != nil {
			t.Errorf("orgdtest: %v", err)
		}
	})
	return s
}

// The address of a fork as it is from here: a container is known by another name than the one it has for itself.
func beside(at, fork string) string {
	here, err := url.Parse(at)
	if err != nil {
		return fork
	}
	there, err := url.Parse(fork)
	if err != nil {
		return fork
	}
	host := here.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return here.Scheme + "://" + host + ":" + there.Port()
}

// Proxies of the surroundings are for other addresses than this one.
var client = &http.Client{Timeout: timeout, Transport: &http.Transport{}}

func call(at, method, path, key string, body, into any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, at+path, sent)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "orgd-go")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return &Refused{Call: method + " " + path, Status: answer.StatusCode, Body: string(text)}
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// "POST /path/" and "/path/" as the server wants them.
func routeOf(route string) map[string]any {
	if route == "" {
		return map[string]any{}
	}
	if method, path, found := strings.Cut(route, " "); found {
		return map[string]any{"method": method, "path": strings.TrimSpace(path)}
	}
	return map[string]any{"path": route}
}

func queryOf(route map[string]any, options []Option) string {
	all := map[string]any{}
	for name, value := range route {
		all[name] = value
	}
	for _, option := range options {
		option(all)
	}
	query := url.Values{}
	for name, value := range all {
		query.Set(name, fmt.Sprint(value))
	}
	return query.Encode()
}

func shortened(text string) string {
	const most = 300
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
