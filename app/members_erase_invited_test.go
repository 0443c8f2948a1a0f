package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
)

// TestAnErasureReachesWhatAnInvitationKept erases somebody whose invitation waited for a
// decision, with name and address beside its change until then, and since.
func TestAnErasureReachesWhatAnInvitationKept(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.adopt(t, fin, cfo, `{"code":"secrets","kinds":["invitation"],`+oneStep+`}`)
	owner := h.owner(t, h.one)
	made, err := h.members.Invite(t.Context(), owner, app.NewInvitation{Issuer: issuer.ID, Name: "Noor", Email: "noor@one.test", Role: app.RoleDeveloper, Life: 24 * time.Hour}, "new", "")
	require.NoError(t, err)
	require.True(t, made.Change.Waits())
	_, err = h.approvals.Decide(t.Context(), cfo, made.Change.ID, approval.VerdictApprove, made.Change.Digest, "as shown")
	require.NoError(t, err)
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: issuer.URL, Subject: "u-noor", IssuerID: issuer.ID, Invitation: made.ID, Email: "noor@one.test", SignedInAt: h.clock.now()})
	require.NoError(t, err)
	noor := h.session(t, h.one, "u-noor")

	opens := func() bool {
		var sealed []byte
		require.NoError(t, h.admin.QueryRow(`select with_shard(tenant_id, 'change', change_id, 'document', document_sealed) from change_document where tenant_id = $1 and change_id = $2`, h.one.tenant, made.Change.ID).Scan(&sealed))
		_, err := h.ring.Open("asked", made.Change.ID.String(), sealed)
		return err == nil
	}
	require.True(t, opens())
	_, err = h.members.Suspend(t.Context(), owner, noor.Member, "left")
	require.NoError(t, err)
	_, err = h.approveChange(t, fin, h.propose(t, owner, app.AskErasure(noor.Member, "asked for it")))
	require.NoError(t, err)
	require.False(t, opens(), "nobody opens it any more")
}
