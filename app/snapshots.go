package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tollbook/app/attribution"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Snapshots keeps, in memory, what gateways need to authenticate and attribute a
// request without asking the database.
type Snapshots struct {
	db      *db.DB
	ring    *secret.Keyring
	hasher  *secret.Hasher
	log     *slog.Logger
	now     func() time.Time
	current atomic.Pointer[Snapshot]
	failed  atomic.Int64         // loads
	leftOut atomic.Int64         // tenants, each time
	file    string               // where the last one is kept; empty for nowhere
	unkept  chan struct{}        // one token: something was loaded that the file does not hold
	loading sync.Mutex           // guards what follows, and that loads do not overtake one another
	rows    map[id.Tenant][]byte // what the current snapshot was built from, as the file holds it
}

// NewSnapshots makes the area; nothing is loaded yet.
func NewSnapshots(d *db.DB, ring *secret.Keyring, log *slog.Logger, now func() time.Time) *Snapshots {
	s := &Snapshots{db: d, ring: ring, hasher: ring.Hasher("virtual-key"), log: log, now: now, unkept: make(chan struct{}, 1), rows: map[id.Tenant][]byte{}}
	s.current.Store(&Snapshot{Tenants: map[string]*TenantSnapshot{}})
	return s
}

// Snapshot is every tenant at one instant; read-only.
type Snapshot struct {
	LoadedAt time.Time // of the last full load or confirmation; zero before the first
	Tenants  map[string]*TenantSnapshot
}

// TenantSnapshot is one tenant at one instant; read-only.
type TenantSnapshot struct {
	ID         id.Tenant
	Slug       string
	Number     int64 // of the latest change it contains
	Upstream   *url.URL
	Credential secret.Text
	Suspended  bool // an operator closed the company for a while
	Circular   bool // the credential is a virtual key: what is sent there would come back
	Keys       map[secret.Hash]*SnapshotKey
	Tree       *hierarchy.Tree
	Pseudonyms *Pseudonyms
	// Rules is the version of the company's attribution rules in force; 0 where it has none.
	Rules int64
	// Upcoming are the instants at which it has to be built anew, in order: the hierarchy
	// turns, other rules take effect, a key charges something else, another provider is asked.
	Upcoming []time.Time
}

// Attribute places one request with a key: by the first of the company's rules that
// fires, else by the declared project or the key.
func (t *TenantSnapshot) Attribute(key *SnapshotKey, request *attribution.Request) (attribution.Answer, error) {
	if answer, fired := key.Asked.First(request); fired {
		return answer, nil
	}
	if request.Project == "" {
		return key.Answer, nil
	}
	facts := key.Facts
	facts.Request = *request
	answer, err := attribution.Decide(t.Tree, facts)
	answer.Version, answer.Change = key.Answer.Version, key.Answer.Change
	return answer, err
}

// SnapshotKey is one accepted secret of a virtual key.
type SnapshotKey struct {
	ID                id.Key
	ExpiresAt         time.Time // the key's, or this secret's
	Facts             attribution.Facts
	Asked             attribution.Asked  // the rules that may fire for it
	Answer            attribution.Answer // without a declared project, where no rule fires; decided once
	Models            *AllowedModels     // nil for all
	RequestsPerMinute int64              // 0 for no limit
	// Developer is who signed in for it, and the sealed label: verified, whatever a
	// request declares. Zero for a key somebody holds.
	Developer id.Developer
	Label     []byte
}

// Current is the snapshot in force.
func (s *Snapshots) Current() *Snapshot { return s.current.Load() }

// Failures counts, since the start, loads that failed and tenants that were left out
// of a load because their configuration is broken.
func (s *Snapshots) Failures() (loads, tenants int64) { return s.failed.Load(), s.leftOut.Load() }

// Find authenticates a presented key within a tenant.
func (s *Snapshots) Find(tenant *TenantSnapshot, key string) (*SnapshotKey, bool) {
	if !strings.HasPrefix(key, keyPrefix) || len(key) > 100 {
		return nil, false
	}
	for _, hash := range s.hasher.Accepted(key) {
		found, ok := tenant.Keys[hash]
		if ok && (found.ExpiresAt.IsZero() || s.now().Before(found.ExpiresAt)) {
			return found, true
		}
	}
	return nil, false
}

// Load reads every tenant, or one, and swaps the result in.
func (s *Snapshots) Load(ctx context.Context, only id.Tenant) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	var rows []db.SnapshotTenant
	started := s.now()
	err := s.db.InSystem(ctx, "a gateway serves every tenant", func(tx *db.SystemTx) error {
		var err error
		rows, err = tx.Snapshot(only)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			s.failed.Add(1)
		}
		return fmt.Errorf("load snapshot: %w", err)
	}
	s.install(ctx, rows, only, started, started)
	s.keepSoon()
	return nil
}

// install builds what was read at one instant as of another, and swaps it in.
func (s *Snapshots) install(ctx context.Context, rows []db.SnapshotTenant, only id.Tenant, loadedAt, asOf time.Time) {
	next := &Snapshot{LoadedAt: loadedAt, Tenants: map[string]*TenantSnapshot{}}
	if only.IsZero() {
		s.rows = make(map[id.Tenant][]byte, len(rows))
	} else {
		previous := s.current.Load()
		next.LoadedAt = previous.LoadedAt
		maps.Copy(next.Tenants, previous.Tenants)
	}
	for _, row := range rows {
		delete(s.rows, row.TenantID)
		tenant, err := s.build(row, asOf)
		if err != nil {
			// One tenant's broken configuration must not take the others down, and is not
			// served from what it was before: a key revoked since would still be accepted.
			s.leftOut.Add(1)
			delete(next.Tenants, row.Slug)
			s.log.ErrorContext(ctx, "tenant left out of the snapshot", "tenant", row.TenantID.String(), "error", err)
			continue
		}
		next.Tenants[row.Slug] = tenant
		if s.file == "" {
			continue
		}
		if s.rows[row.TenantID], err = json.Marshal(row); err != nil {
			s.log.ErrorContext(ctx, "tenant left out of the snapshot file", "tenant", row.TenantID.String(), "error", err)
			delete(s.rows, row.TenantID)
		}
	}
	s.current.Store(next)
}

func (s *Snapshots) build(row db.SnapshotTenant, now time.Time) (*TenantSnapshot, error) {
	tree, err := hierarchy.Build(row.Versions, now, time.Time{})
	if err != nil {
		return nil, err
	}
	// The first instant is this one itself.
	upcoming := hierarchy.Instants(row.Versions, now)[1:]
	t := &TenantSnapshot{Upcoming: upcoming, ID: row.TenantID, Slug: row.Slug, Number: row.Number, Suspended: row.Suspended, Tree: tree, Keys: make(map[secret.Hash]*SnapshotKey, len(row.Keys))}
	if t.Pseudonyms, err = newPseudonyms(s.ring, row.TenantID, row.PseudonymSealed); err != nil {
		return nil, fmt.Errorf("open pseudonym key: %w", err)
	}
	if row.BaseURL != "" {
		if t.Upstream, err = url.Parse(row.BaseURL); err != nil {
			return nil, fmt.Errorf("read upstream: %w", err)
		}
		plain, err := s.ring.Open(purposeUpstream, row.TenantID.String(), row.CredentialSealed)
		if err != nil {
			return nil, fmt.Errorf("open upstream credential: %w", err)
		}
		t.Credential, t.Circular = secret.NewText(string(plain)), isVirtualKey(string(plain))
	}
	program, err := inForceAt(row.Rules, tree, now)
	if err != nil {
		return nil, err
	}
	t.Rules = program.Version()
	for _, at := range append(ruleInstants(row.Rules, now), row.Turns...) {
		if at.After(now) { // a snapshot from a file may be older than what it names
			t.Upcoming = append(t.Upcoming, at.UTC())
		}
	}
	slices.SortFunc(t.Upcoming, time.Time.Compare)
	t.Upcoming = slices.CompactFunc(t.Upcoming, time.Time.Equal)
	labels := NewLabels(s.ring)
	for _, k := range row.Keys {
		key := &SnapshotKey{ID: k.KeyID, Facts: attribution.Facts{CostCenter: k.NodeID, Credential: credential(labels, &k)}, RequestsPerMinute: k.RequestsPerMinute, Developer: k.DeveloperID, Label: k.LabelSealed}
		if k.Models != "" {
			key.Models = allowedModels(strings.Split(k.Models, ","))
		}
		if k.ExpiresAt != nil {
			key.ExpiresAt = *k.ExpiresAt
		}
		for text := range strings.SplitSeq(k.Projects, ",") {
			if node, err := id.ParseNode(text); err == nil {
				key.Facts.Projects = append(key.Facts.Projects, node)
			}
		}
		if key.Answer, err = attribution.Decide(tree, key.Facts); err != nil {
			return nil, fmt.Errorf("attribute key %s: %w", k.KeyID, err)
		}
		key.Answer.Version, key.Answer.Change = t.Rules, k.ChangeID
		key.Asked = program.For(&key.Facts.Credential)
		if len(k.KeyHash) != len(secret.Hash{}) {
			return nil, fmt.Errorf("key %s has a hash of %d bytes: %s", k.KeyID, len(k.KeyHash), hex.EncodeToString(k.KeyHash[:1]))
		}
		t.Keys[secret.Hash(k.KeyHash)] = key
	}
	return t, nil
}

const (
	reloadEvery = 30 * time.Second
	retryAfter  = time.Second
	reloadLimit = 20 * time.Second
	// turnWithin bounds how long a clock that was set goes unnoticed by who waits for an instant.
	turnWithin = time.Second
)

// Follow keeps the snapshot current until ctx ends: by notice within a second,
// fully on each reconnect and every 30 seconds, and at each instant at which something
// that was decided before takes effect.
func (s *Snapshots) Follow(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { s.listen(ctx) })
	both.Go(func() { s.keepForever(ctx) })
	both.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(s.Turn(ctx)):
			}
		}
	})
	both.Go(func() {
		every := time.NewTicker(reloadEvery)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				s.reload(ctx, id.Tenant{})
			}
		}
	})
	both.Wait()
}

// Turn loads every tenant of which an instant has come since it was built, and says how
// long to wait before asking again: until the next instant, but no longer than a second,
// for clocks are set.
func (s *Snapshots) Turn(ctx context.Context) time.Duration {
	now := s.now()
	for _, tenant := range s.current.Load().Tenants {
		if len(tenant.Upcoming) > 0 && !tenant.Upcoming[0].After(now) {
			s.reload(ctx, tenant.ID)
		}
	}
	wait := turnWithin
	for _, tenant := range s.current.Load().Tenants {
		// One that could not be loaded is still due: it is tried again in a second.
		if len(tenant.Upcoming) > 0 && tenant.Upcoming[0].After(now) {
			wait = min(wait, tenant.Upcoming[0].Sub(now))
		}
	}
	return wait
}

func (s *Snapshots) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.db.Listen(ctx, func() { s.reload(ctx, id.Tenant{}) }, func(tenant id.Tenant) { s.reload(ctx, tenant) })
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "snapshot notices interrupted", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func (s *Snapshots) reload(ctx context.Context, only id.Tenant) {
	// A database that takes questions and never answers must not hold up the next try.
	limited, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	if err := s.Load(limited, only); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "snapshot not reloaded", "error", err)
	}
}
