package gateway_test

import (
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
)

// TestWhoSignedInIsVerifiedWhateverARequestDeclares follows notices, as gateways do: a
// credential counts a moment after it was given, a switch changes what it charges, and
// suspending the person ends it.
func TestWhoSignedInIsVerifiedWhateverARequestDeclares(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, jsonAnswer(http.StatusOK, plainAnswer))
	h := build(t, url)
	follow(t, h.snapshots)
	members := app.NewMembers(h.clone.DB, h.changes, h.ring)
	signIns := app.NewSignIns(h.clone.DB, h.changes, members, h.ring)
	logins, rights := app.NewLogins(h.clone.DB, h.access, h.changes, members, h.ring), app.NewRights(h.clone.DB, h.access, h.changes, h.ring)
	command := app.Command(h.tenant["one"])
	member, err := members.Add(t.Context(), command, app.NewMember{Issuer: "https://idp", Subject: "ada", Name: "Ada", Email: "ada@one.test", Role: app.RoleDeveloper}, "test")
	require.NoError(t, err)
	_, err = rights.Grant(t.Context(), command, app.NewRight{Email: app.Everybody, Node: "BU-1"}, "test")
	require.NoError(t, err)
	cookie, err := signIns.Accept(t.Context(), h.tenant["one"], app.Claims{Issuer: "https://idp", Subject: "ada", SignedInAt: time.Now()})
	require.NoError(t, err)
	who, err := signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)

	const verifier = "a-verifier-of-at-least-forty-three-characters-0"
	sum := sha256.Sum256([]byte(verifier))
	code, err := logins.Allow(t.Context(), who, app.Loopback{Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), CostCenter: "CC-1"})
	require.NoError(t, err)
	issued, err := logins.Redeem(t.Context(), code, verifier)
	require.NoError(t, err)
	given := time.Now()
	present := func(r *http.Request) {
		r.Header.Set("X-Api-Key", issued.Secret.Reveal())
		r.Header.Set("Authorization", "Bearer "+issued.Secret.Reveal()) // a helper's key comes twice
		r.Header.Set("X-Tollbook-Developer", "mallory@one.test")
	}
	charged := func() string {
		res := h.post(t, "one", question, present)
		if res.StatusCode != http.StatusOK {
			return res.Status
		}
		return res.Header.Get("X-Tollbook-Cost-Center")
	}
	require.Eventually(t, func() bool { return charged() == "CC-1" }, 10*time.Second, time.Millisecond)
	t.Logf("accepted %s after it was given", time.Since(given).Round(time.Millisecond))
	row := h.rows(t, "one", 1)[0]
	require.Equal(t, "ada@one.test", row.Developer)
	require.True(t, row.DeveloperVerified)
	require.Equal(t, who.Developer, row.DeveloperID)
	require.Equal(t, "Signed-in developers, CC-1", row.KeyLabel)
	require.Equal(t, "401 Unauthorized", h.post(t, "two", question, present).Status)

	// The same person's declared requests are the same developer's, and stay declared.
	require.Equal(t, http.StatusOK, h.post(t, "one", question, func(r *http.Request) { r.Header.Set("X-Tollbook-Developer", "Ada@one.test") }).StatusCode)
	row = h.rows(t, "one", 2)[0]
	require.Equal(t, who.Developer, row.DeveloperID)
	require.False(t, row.DeveloperVerified)

	_, err = logins.Switch(t.Context(), issued.Refresh, "P-1")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return charged() == "P-1" }, 10*time.Second, time.Millisecond)

	// A second gateway, which has nothing but the notices either.
	other := app.NewSnapshots(h.clone.DB, h.ring, slog.New(slog.DiscardHandler), time.Now)
	require.NoError(t, other.Load(t.Context(), id.Tenant{}))
	follow(t, other)
	elsewhere := func() bool {
		_, ok := other.Find(other.Current().Tenants["one"], issued.Secret.Reveal())
		return ok
	}
	require.True(t, elsewhere())
	_, err = members.Add(t.Context(), command, app.NewMember{Issuer: "https://idp", Subject: "own", Name: "Own", Role: app.RoleTenantOwner}, "test")
	require.NoError(t, err)
	owner, err := signIns.Accept(t.Context(), h.tenant["one"], app.Claims{Issuer: "https://idp", Subject: "own", SignedInAt: time.Now()})
	require.NoError(t, err)
	by, err := signIns.BySession(t.Context(), owner)
	require.NoError(t, err)
	done, err := members.Suspend(t.Context(), by, member, "left the company")
	require.NoError(t, err)
	require.EqualValues(t, 1, done.Logins)
	suspended := time.Now()
	require.Eventually(t, func() bool { return charged() == "401 Unauthorized" && !elsewhere() }, 10*time.Second, time.Millisecond)
	t.Logf("refused %s after the suspension", time.Since(suspended).Round(time.Millisecond))
}
