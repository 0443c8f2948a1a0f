package simulator

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func adminCall(t *testing.T, sim *Simulator, method, path, b string, status int) []byte {
	t.Helper()
	rec := call(t, sim, method, "/v1/organizations/"+path, b, admin())
	require.Equal(t, status, rec.Code, rec.Body.String())

	return rec.Body.Bytes()
}

func TestOrganizationObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sim := open(t, Config{Dir: dir})
	require.Equal(t, sim.organ, decode[map[string]string](t, adminCall(t, sim, "GET", "me", "", 200))["id"])
	require.Equal(t, 403, call(t, sim, http.MethodGet, "/v1/organizations/me", "", nil).Code)
	adminCall(t, sim, "GET", "users", "", 404)
	_, err := sim.Import(history(3))
	require.NoError(t, err)
	ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-api-key": "sk-other", "anthropic-workspace-id": "wrkspc_2"})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-api-key": "sk-bad-1"})

	keys := decode[listPage[apiKey]](t, adminCall(t, sim, "GET", "api_keys?limit=1", "", 200))
	require.True(t, keys.HasMore)
	require.Equal(t, KeyHint("sk-other"), keys.Data[0].ID, "newest first; a refused key is none")
	require.Equal(t, keyScope{"workspace", "wrkspc_2"}, keys.Data[0].Scope)
	keys = decode[listPage[apiKey]](t, adminCall(t, sim, "GET", "api_keys?limit=1&after_id="+*keys.LastID, "", 200))
	require.False(t, keys.HasMore)
	require.Equal(t, "apikey_1", keys.Data[0].ID)
	require.Equal(t, "2026-08-15T12:00:00Z", keys.Data[0].CreatedAt.Format("2006-01-02T15:04:05Z07:00"))
	require.Equal(t, sim.workspace, keys.Data[0].Scope.WorkspaceID)
	require.Empty(t, decode[listPage[apiKey]](t, adminCall(t, sim, "GET", "api_keys?status=archived", "", 200)).Data)
	require.Len(t, decode[listPage[apiKey]](t, adminCall(t, sim, "GET", "api_keys?workspace_id=wrkspc_2", "", 200)).Data, 1)
	adminCall(t, sim, "POST", "api_keys", `{"name":"x"}`, 404) // keys cannot be created
	adminCall(t, sim, "GET", "api_keys/nobody", "", 404)

	id := KeyHint("sk-other")
	adminCall(t, sim, "POST", "api_keys/"+id, `{"status":"expired"}`, 400)
	adminCall(t, sim, "POST", "api_keys/"+id, `{"name":"gateway","status":"inactive"}`, 200)
	require.Equal(t, 401, ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-api-key": "sk-other"}).Code)
	require.NoError(t, sim.Close())
	sim = open(t, Config{Dir: dir})
	key := decode[apiKey](t, adminCall(t, sim, "GET", "api_keys/"+id, "", 200))
	require.Equal(t, []string{"gateway", "inactive"}, []string{key.Name, key.Status})
	adminCall(t, sim, "POST", "api_keys/"+id, `{"status":"active"}`, 200)
	require.Equal(t, 200, ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"x-api-key": "sk-other"}).Code)
}

func TestWorkspaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sim := open(t, Config{Dir: dir})
	ask(t, sim, body("claude-opus-5-5", "hi", ""), map[string]string{"anthropic-workspace-id": "wrkspc_2"})
	made := decode[workspace](t, adminCall(t, sim, "POST", "workspaces", `{"name":"Growth","tags":{"a":"b"}}`, 200))
	require.Equal(t, map[string]string{"a": "b"}, made.Tags)
	adminCall(t, sim, "POST", "workspaces", `{}`, 400)
	adminCall(t, sim, "POST", "workspaces/"+made.ID, `{"name":"Growth 2"}`, 200)
	list := func(query string) []workspace {
		return decode[listPage[workspace]](t, adminCall(t, sim, "GET", "workspaces"+query, "", 200)).Data
	}
	require.Len(t, list(""), 2)
	require.Len(t, list("?include_default=true"), 3)
	require.Len(t, list("?ids[]="+made.ID), 1)
	adminCall(t, sim, "POST", "workspaces/"+made.ID+"/archive", "", 200)
	require.Len(t, list(""), 1)
	require.NoError(t, sim.Close())
	sim = open(t, Config{Dir: dir})
	require.Len(t, list("?include_archived=true"), 2)
	shown := decode[workspace](t, adminCall(t, sim, "GET", "workspaces/"+made.ID, "", 200))
	require.Equal(t, "Growth 2", shown.Name)
	require.NotNil(t, shown.ArchivedAt)
	adminCall(t, sim, "GET", "workspaces/"+made.ID+"/members", "", 404)
	adminCall(t, sim, "GET", "workspaces/nobody", "", 404)
}
