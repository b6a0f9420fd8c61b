//go:build failing

package orgdtest

import (
	"fmt"
	"net/http"
	"testing"
)

// Fails on purpose: its report is looked at.
func TestThatFails(t *testing.T) {
	orgd := Fork(t)
	for number := 0; number < 23; number++ {
		answer, err := http.Get(fmt.Sprintf("%s/_readyz?%d", orgd.URL, number))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	orgd.Fail("POST /api/organizations/{id}/invites/", Fault{Status: 503})
	orgd.AssertRequests("POST /api/organizations/{id}/invites/", Count(1))
}
