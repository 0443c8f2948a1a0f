package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The organization's objects as a reconciler needs them: keys and workspaces are
// those that the books have seen, and workspaces that were created here.
const (
	organizationPath = "/v1/organizations/"
	apiKeysPath      = "/v1/organizations/api_keys"
	workspacesPath   = "/v1/organizations/workspaces"
)

// apiKey is a key by its id, which is all that the simulator knows of it.
type apiKey struct {
	ID             string     `json:"id"`
	Type           string     `json:"type"`
	Name           string     `json:"name"`
	Status         string     `json:"status"` // active | inactive | archived | expired
	PartialKeyHint string     `json:"partial_key_hint"`
	CreatedAt      time.Time  `json:"created_at"`
	CreatedBy      *objectRef `json:"created_by"`
	ExpiresAt      *time.Time `json:"expires_at"`
	Principal      *objectRef `json:"principal"`
	Scope          keyScope   `json:"scope"`
}

type objectRef struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type keyScope struct {
	Type        string `json:"type"`
	WorkspaceID string `json:"workspace_id"`
}

type workspace struct {
	ID            string            `json:"id"`
	Type          string            `json:"type"`
	Name          string            `json:"name"`
	CreatedAt     time.Time         `json:"created_at"`
	ArchivedAt    *time.Time        `json:"archived_at"`
	DisplayColor  string            `json:"display_color"`
	DataResidency map[string]string `json:"data_residency"`
	Tags          map[string]string `json:"tags"`
	CompartmentID string            `json:"compartment_id"`
	ExternalKeyID *string           `json:"external_key_id"`
	UserProfileID *string           `json:"user_profile_id"`
}

// observe needs the lock. It learns of a key and of a workspace from a request that
// used them; both are as old as the oldest such request.
func (b *books) observe(f *Fact) {
	if f.Status >= 400 {
		return
	}
	at := f.OccurredAt.UTC().Truncate(time.Second)
	if id := f.KeyHint; id != "" {
		known := b.keys[id]
		if known == nil && len(b.keys) < maxObjects {
			short := id[max(0, len(id)-4):]
			b.keys[id] = &apiKey{
				ID: id, Type: "api_key", Name: "Key " + short, Status: keyActive, PartialKeyHint: "sk-ant-api03-..." + short,
				CreatedAt: at, Scope: keyScope{Type: "workspace", WorkspaceID: f.WorkspaceID},
			}
		} else if known != nil && at.Before(known.CreatedAt) {
			known.CreatedAt = at
		}
	}
	if id := f.WorkspaceID; id != "" {
		known := b.workspaces[id]
		if known == nil && len(b.workspaces) < maxObjects {
			b.workspaces[id] = newWorkspace(id, "Workspace "+id[max(0, len(id)-4):], at)
		} else if known != nil && at.Before(known.CreatedAt) {
			known.CreatedAt = at
		}
	}
}

const keyActive = "active"

func newWorkspace(id, name string, at time.Time) *workspace {
	return &workspace{
		ID: id, Type: "workspace", Name: name, CreatedAt: at, DisplayColor: "#6C5BB9", Tags: map[string]string{},
		DataResidency: map[string]string{"allowed_inference_geos": "unrestricted", "default_inference_geo": geoGlobal, "workspace_geo": geoUS},
		CompartmentID: "cmpt_" + id,
	}
}

// defaultWorkspaceOf is the id of the default workspace: in analytics, in an answer's
// headers and in a key's scope, but not in the legacy reports.
func defaultWorkspaceOf(seed uint64) string { return makeID("wrkspc_", seed, 0) }

// keyRefused reports whether an admin switched a key off.
func (s *Simulator) keyRefused(id string) bool {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	known := s.books.keys[id]

	return known != nil && known.Status != keyActive
}

// listKeys copies the keys, newest first.
func (s *Simulator) listKeys() []apiKey {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	keys := make([]apiKey, 0, len(s.books.keys))
	for _, k := range s.books.keys {
		shown := *k
		shown.Scope.WorkspaceID = cmp.Or(shown.Scope.WorkspaceID, s.workspace)
		keys = append(keys, shown)
	}
	slices.SortFunc(keys, func(x, y apiKey) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID))
	})

	return keys
}

func (s *Simulator) listWorkspaces() []workspace {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	all := make([]workspace, 0, len(s.books.workspaces))
	for _, w := range s.books.workspaces {
		all = append(all, *w)
	}
	slices.SortFunc(all, func(x, y workspace) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID))
	})

	return all
}

// serveOrganization answers the organization's objects.
func (s *Simulator) serveOrganization(w http.ResponseWriter, r *http.Request) {
	if _, proceed := s.admitAdmin(w, r); !proceed {
		return
	}
	var (
		answer  any
		problem *apiError
	)
	path, read := r.URL.Path, r.Method != http.MethodPost
	switch {
	case path == organizationPath+"me" && read:
		answer = map[string]string{"id": s.organ, "type": "organization", "name": "Simulated Organization"}
	case path == apiKeysPath && read:
		answer, problem = s.pageOfKeys(r)
	case strings.HasPrefix(path, apiKeysPath+"/"):
		answer, problem = s.oneKey(w, r, strings.TrimPrefix(path, apiKeysPath+"/"))
	case path == workspacesPath && read:
		answer, problem = s.pageOfWorkspaces(r)
	case path == workspacesPath:
		answer, problem = s.createWorkspace(w, r)
	case strings.HasPrefix(path, workspacesPath+"/"):
		answer, problem = s.oneWorkspace(w, r, strings.TrimPrefix(path, workspacesPath+"/"))
	default:
		problem = errorOfStatus(http.StatusNotFound)
	}
	if problem != nil {
		writeError(w, problem)

		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Simulator) pageOfKeys(r *http.Request) (any, *apiError) {
	query := r.URL.Query()
	keys := slices.DeleteFunc(s.listKeys(), func(k apiKey) bool {
		return (query.Get("status") != "" && query.Get("status") != k.Status) ||
			(query.Get("workspace_id") != "" && query.Get("workspace_id") != k.Scope.WorkspaceID) || query.Get("created_by_user_id") != ""
	})

	return pageOf(keys, func(k apiKey) string { return k.ID }, query)
}

// oneKey shows a key, renames it or changes its status. Keys cannot be created.
func (s *Simulator) oneKey(w http.ResponseWriter, r *http.Request, id string) (any, *apiError) {
	keys := s.listKeys()
	at := slices.IndexFunc(keys, func(k apiKey) bool { return k.ID == id })
	if at < 0 {
		return nil, errorOfStatus(http.StatusNotFound)
	}
	if r.Method != http.MethodPost {
		return keys[at], nil
	}
	var change struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	if problem := readControl(w, r, &change); problem != nil {
		return nil, problem
	}
	if change.Status != "" && !slices.Contains([]string{keyActive, "inactive", "archived"}, change.Status) {
		return nil, invalid("status: Input should be 'active', 'inactive' or 'archived'")
	}
	key := keys[at]
	key.Name, key.Status = cutText(cmp.Or(change.Name, key.Name), maxModelBytes), cmp.Or(change.Status, key.Status)

	return key, s.keepObject(line{Key: &key}, func() { s.books.keys[id] = &key })
}

func (s *Simulator) keepObject(l line, apply func()) *apiError {
	if err := s.books.keep(l, apply); err != nil {
		return &apiError{status: 500, kind: "api_error", message: err.Error()}
	}

	return nil
}

func (s *Simulator) pageOfWorkspaces(r *http.Request) (any, *apiError) {
	query := r.URL.Query()
	all := slices.DeleteFunc(s.listWorkspaces(), func(w workspace) bool {
		return (w.ArchivedAt != nil && query.Get("include_archived") != "true") ||
			(len(query["ids[]"]) > 0 && !slices.Contains(query["ids[]"], w.ID))
	})
	if query.Get("include_default") == "true" {
		all = append(all, *newWorkspace(s.workspace, "Default", time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)))
	}

	return pageOf(all, func(w workspace) string { return w.ID }, query)
}

func (s *Simulator) createWorkspace(w http.ResponseWriter, r *http.Request) (any, *apiError) {
	var asked struct {
		Name string            `json:"name"`
		Tags map[string]string `json:"tags"`
	}
	if problem := readControl(w, r, &asked); problem != nil {
		return nil, problem
	}
	if asked.Name == "" || len(asked.Name) > maxModelBytes || len(asked.Tags) > maxObjectTags {
		return nil, invalid("name: Field required, of at most %d bytes; at most %d tags", maxModelBytes, maxObjectTags)
	}
	if len(s.listWorkspaces()) >= maxObjects {
		return nil, invalid("at most %d workspaces", maxObjects)
	}
	serial, err := s.books.issue()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	made := newWorkspace(makeID("wrkspc_", s.seed, serial), asked.Name, s.now().UTC().Truncate(time.Second))
	if asked.Tags != nil {
		made.Tags = asked.Tags
	}

	return made, s.keepObject(line{Workspace: made}, func() { s.books.workspaces[made.ID] = made })
}

// oneWorkspace shows a workspace, renames or archives it.
func (s *Simulator) oneWorkspace(w http.ResponseWriter, r *http.Request, rest string) (any, *apiError) {
	id, verb, _ := strings.Cut(rest, "/")
	all := s.listWorkspaces()
	at := slices.IndexFunc(all, func(w workspace) bool { return w.ID == id })
	if at < 0 || (verb != "" && (verb != "archive" || r.Method != http.MethodPost)) {
		return nil, errorOfStatus(http.StatusNotFound)
	}
	changed := all[at]
	switch {
	case r.Method != http.MethodPost:
		return changed, nil
	case verb == "archive":
		now := s.now().UTC().Truncate(time.Second)
		changed.ArchivedAt = &now
	default:
		var asked struct {
			Name string `json:"name"`
		}
		if problem := readControl(w, r, &asked); problem != nil {
			return nil, problem
		}
		changed.Name = cutText(cmp.Or(asked.Name, changed.Name), maxModelBytes)
	}

	return changed, s.keepObject(line{Workspace: &changed}, func() { s.books.workspaces[id] = &changed })
}

// actorOf is who a line is attributed to: its key, or the person at the Console.
func (s *Simulator) actorOf(key string) map[string]any {
	if key == "" {
		return map[string]any{
			"type": "user_actor", "user_id": s.consoleUser(), "name": "Console Person", "email_address": "console@example.com", "deleted": false,
		}
	}

	return map[string]any{"type": "api_actor", "api_key_id": key}
}

func (s *Simulator) consoleUser() string { return makeID("user_", s.seed, 0) }

// adminCredential reports whether a credential may read the organization.
func adminCredential(credential string) bool { return strings.HasPrefix(credential, "sk-ant-admin") }

// errNotAdmin is the answer to any other.
func errNotAdmin() *apiError {
	return &apiError{status: 403, kind: "permission_error", message: "This endpoint requires an Admin API key."}
}

// pageToken names the next page of one query.
func pageToken(offset int, signature string) string {
	return fmt.Sprintf("page_%d_%s", offset, signature)
}
