package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// rotated is the house's ring with a newer master key in front.
func rotated(t *testing.T, old, fresh secret.Text) *secret.Keyring {
	t.Helper()
	ring, err := secret.NewKeyring(secret.NewText("2:"+fresh.Reveal()), old)
	require.NoError(t, err)
	return ring
}

// TestADeveloperStaysTheSameWhenTheMasterKeyIsReplaced goes through a whole
// replacement: the old key, both, the new one alone.
func TestADeveloperStaysTheSameWhenTheMasterKeyIsReplaced(t *testing.T) {
	t.Parallel()
	h := empty(t)
	old, fresh := secret.NewMaster(), secret.NewMaster()
	before, err := secret.NewKeyring(old)
	require.NoError(t, err)
	h.wire(t, before)
	h.one = h.company(t, "one")
	ada := h.developer(t, h.one, "ada@one.test")
	h.flush(t, h.one, h.one.event(november(2), "CC-1", h.declared(t, h.one, "ada@one.test")))
	require.NotEqual(t, ada, h.developer(t, h.one, "bob@one.test"))
	require.Equal(t, ada, h.developer(t, h.one, "Ada@One.test"))
	who := h.member(t, h.one, app.RoleDeveloper, "")
	require.Equal(t, h.developer(t, h.one, "developer@one.test"), who.Developer)

	h.wire(t, rotated(t, old, fresh))
	for range 2 { // before and after the start has sealed the key anew
		h.snapshots = app.NewSnapshots(h.clone.DB, h.ring, discard(), h.clock.now)
		require.Equal(t, ada, h.developer(t, h.one, "ada@one.test"))
		page, err := h.reports.Requests(t.Context(), h.one.who, app.RequestFilter{Developer: "ada@one.test"})
		require.NoError(t, err)
		require.Len(t, page.Rows, 1, "a label typed today finds what was declared before")
		require.NoError(t, h.tenants.Renew(t.Context()))
	}
	key, ok := h.snapshots.Find(h.snapshots.Current().Tenants["one"], h.one.key.Secret.Reveal())
	require.True(t, ok, "a key made under the old master key is accepted")
	require.Equal(t, h.one.key.ID, key.ID)

	alone, err := secret.NewKeyring(secret.NewText("2:" + fresh.Reveal()))
	require.NoError(t, err)
	h.wire(t, alone)
	require.Equal(t, ada, h.developer(t, h.one, "ada@one.test"), "the key is sealed under the new master key by now")
}

// TestATenantOfTheFirstReleaseKeepsItsDevelopers has no key stored, as before there
// was one: the ids come out as they did then, and a start stores the key they need.
func TestATenantOfTheFirstReleaseKeepsItsDevelopers(t *testing.T) {
	t.Parallel()
	h := empty(t)
	old, fresh := secret.NewMaster(), secret.NewMaster()
	before, err := secret.NewKeyring(old)
	require.NoError(t, err)
	h.wire(t, before)
	h.one, h.two = h.company(t, "one"), h.company(t, "two")
	h.exec(t, `delete from pseudonym_key`)
	hash := before.Hasher("developer").Current(h.one.tenant.String() + "\x00ada@one.test")
	first := id.DeriveDeveloper(hash[:])
	require.Equal(t, first, h.developer(t, h.one, "ada@one.test"))
	require.NotEqual(t, first, h.developer(t, h.two, "ada@one.test"))
	for range 2 {
		h.wire(t, rotated(t, old, fresh))
		require.Equal(t, first, h.developer(t, h.one, "ada@one.test"))
		require.NoError(t, h.tenants.Renew(t.Context()))
		require.EqualValues(t, 2, h.number(t, `select count(*) from pseudonym_key`))
	}
}
