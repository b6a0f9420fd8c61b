package orgdtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

const invites = "POST /api/organizations/{id}/invites/"
const roles = "POST /api/organizations/{id}/roles/"

// A client under test: waits as long as a 429 says, and repeats.
func send(t *testing.T, orgd *Server, method, path string, body any) (int, map[string]any) {
	t.Helper()
	for tries := 0; tries < 5; tries++ {
		text, _ := json.Marshal(body)
		request, _ := http.NewRequest(method, orgd.URL+path, bytes.NewReader(text))
		request.Header.Set("Authorization", "Bearer "+orgd.Key)
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, nil
		}
		var shown map[string]any
		_ = json.NewDecoder(answer.Body).Decode(&shown)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusTooManyRequests {
			return answer.StatusCode, shown
		}
		wait, _ := time.ParseDuration(answer.Header.Get("Retry-After") + "s")
		time.Sleep(wait)
	}
	t.Fatal("it was refused to the end")
	return 0, nil
}

func roleNames(t *testing.T, orgd *Server) []string {
	t.Helper()
	_, shown := send(t, orgd, "GET", "/api/organizations/@current/roles/", nil)
	names := []string{}
	for _, role := range shown["results"].([]any) {
		names = append(names, role.(map[string]any)["name"].(string))
	}
	return names
}

func makeRole(t *testing.T, orgd *Server, name string) int {
	t.Helper()
	status, _ := send(t, orgd, "POST", "/api/organizations/@current/roles/", map[string]string{"name": name})
	return status
}

func invite(t *testing.T, orgd *Server) {
	t.Helper()
	body := map[string]string{"target_email": "grace@example.com"}
	if status, shown := send(t, orgd, "POST", "/api/organizations/@current/invites/", body); status != 201 {
		t.Fatal(status, shown)
	}
}

func TestAnInviteIsAMailWithALinkAndExpires(t *testing.T) {
	t.Parallel()
	orgd := Fork(t)
	invite(t, orgd)
	mails := orgd.Mails(To("grace@example.com"))
	if len(mails) != 1 || len(orgd.Mails(To("ada@example.com"))) != 0 {
		t.Fatal(mails)
	}
	_, token, _ := strings.Cut(mails[0].Links[0], "/signup/")
	path := "/api/signup/" + strings.Trim(token, "/") + "/"
	if status, shown := send(t, orgd, "GET", path, nil); status != 200 {
		t.Fatal(status, shown)
	}
	begun := orgd.Now()
	if done := orgd.Advance("4d"); !done.Settled || done.Now.Sub(begun) < 96*time.Hour {
		t.Fatal(done)
	}
	if status, _ := send(t, orgd, "GET", path, nil); status != 400 {
		t.Fatal(status)
	}
	orgd.AssertRequests(invites, Count(1), WithJSON(map[string]string{"target_email": "grace@example.com"}))
}

func TestARefusedRequestIsRepeated(t *testing.T) {
	t.Parallel()
	orgd := Fork(t)
	orgd.Fail(invites, Fault{Status: 429, RetryAfter: "0", Times: 2})
	invite(t, orgd)
	orgd.AssertRequests(invites, Count(3))
	orgd.AssertRequests(invites, AtLeast(1), WithStatus(201))
	orgd.AssertRequests("DELETE /api/organizations/{id}/invites/{id}/", Never())
	if faults := orgd.Faults(); faults[0].Fired != 2 {
		t.Fatal(faults)
	}
}

func TestALostAnswerIsAWriteAllTheSame(t *testing.T) {
	t.Parallel()
	orgd := Fork(t)
	orgd.Fail(roles, Fault{AfterCommit: true, Reset: true, Times: 1})
	if status := makeRole(t, orgd, "Operators"); status != 0 {
		t.Fatal(status)
	}
	if found := orgd.Requests(roles); len(found) != 1 || found[0].CarriedOut != 201 || found[0].Status != 0 {
		t.Fatal(found)
	}
	if names := roleNames(t, orgd); !reflect.DeepEqual(names, []string{"Operators"}) {
		t.Fatal(names)
	}
}

func TestNoTestSeesWhatAnotherDid(t *testing.T) {
	for number := 0; number < 8; number++ {
		name := fmt.Sprintf("role %d", number)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orgd := Fork(t)
			if names := roleNames(t, orgd); len(names) != 0 {
				t.Fatal(names)
			}
			makeRole(t, orgd, name)
			orgd.Advance("36500d")
			if orgd.Now().Year() < 2100 {
				t.Fatal(orgd.Now())
			}
		})
	}
}

func TestForksAndResets(t *testing.T) {
	orgd := Fork(t)
	makeRole(t, orgd, "shared")
	orgd.Snapshot("one-role")
	other := orgd.Fork()
	makeRole(t, other, "of the fork")
	if names := roleNames(t, other); len(names) != 2 {
		t.Fatal(names)
	}
	makeRole(t, orgd, "own")
	orgd.Reset("one-role")
	if names := roleNames(t, orgd); !reflect.DeepEqual(names, []string{"shared"}) {
		t.Fatal(names)
	}
	orgd.Reset("")
	if names := roleNames(t, orgd); len(names) != 0 {
		t.Fatal(names)
	}
}

func TestEvents(t *testing.T) {
	orgd := Fork(t)
	body := map[string]any{"api_key": orgd.ProjectToken, "event": "signed up", "distinct_id": "ada"}
	send(t, orgd, "POST", "/e/", body)
	if found := orgd.Events(Named("signed up"), Wait(1, 5*time.Second)); len(found) != 1 || found[0].ProjectID != orgd.ProjectID {
		t.Fatal(found)
	}
}
