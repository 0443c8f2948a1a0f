package app

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Logins is the area of people who sign in from a command line: a login is bound to the
// person and to what it charges, lasts no longer than the session it was allowed in, and
// gets credentials that gateways accept for an hour (docs/adr/014).
type Logins struct {
	db        *db.DB
	access    *Access
	changes   *Changes
	members   *Members
	ring      *secret.Keyring
	labels    *Labels
	asks      *secret.Hasher
	codes     *secret.Hasher
	refreshes *secret.Hasher
	keys      *secret.Hasher
}

// NewLogins makes the area.
func NewLogins(d *db.DB, access *Access, changes *Changes, members *Members, ring *secret.Keyring) *Logins {
	return &Logins{
		db: d, access: access, changes: changes, members: members, ring: ring, labels: NewLabels(ring), asks: ring.Hasher("login-ask"),
		codes: ring.Hasher("login-user-code"), refreshes: ring.Hasher("login-refresh"), keys: ring.Hasher("virtual-key"),
	}
}

// Limits of logins.
const (
	// CredentialLife is how long gateways accept one credential.
	CredentialLife  = time.Hour
	maxLogins       = 20 // of one member at once; the oldest end
	maxCredentials  = 8  // of one login at once
	maxMachineBytes = 100
)

// Issued is what a command line gets to keep.
type Issued struct {
	Login       id.Login
	Person      string
	CostCenter  string
	CenterName  string
	Refresh     secret.Text // only when the login begins
	Secret      secret.Text // what Claude Code presents; zero where none was asked for
	ExpiresAt   time.Time   // of Secret
	LoginEndsAt time.Time
	MayCharge   []ChargeNode
	WasCharging string // before a switch
}

// ChargeNode is one that may be charged.
type ChargeNode struct {
	Code, Name, Path string
	Last             bool // what the person charged last
}

// ErrLogin reports a login that is over: unknown, expired, ended, or of somebody who was
// suspended.
var ErrLogin = fault.New(fault.KindUnauthenticated, "login_expired", "You are signed out here. Run: tollbook login")

var (
	errNothingToCharge = fault.New(fault.KindForbidden, "charge_nothing", "There is no cost center you may charge by signing in. Ask an engineering admin or a finance admin to give you one, under Virtual keys, Who may charge.")
	errNoAddress       = fault.New(fault.KindForbidden, "login_no_address", "Your account here has no e-mail address, by which requests are known as yours. Ask a tenant owner to add it.")
	errCredentialsMany = fault.New(fault.KindLimited, "credentials_many", "This login got as many credentials in an hour as it may. Use the ones it has.")
)

// Choices lists what the actor may charge by signing in.
func (l *Logins) Choices(ctx context.Context, who Actor) ([]ChargeNode, error) {
	if err := l.access.Check(who, "login", "begin"); err != nil {
		return nil, err
	}
	var list []ChargeNode
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		list, err = choices(tx, tree, who)
		return err
	})
	return list, err
}

func choices(tx *db.Tx, tree *hierarchy.Tree, who Actor) ([]ChargeNode, error) {
	roots, err := chargeRoots(tx, who)
	if err != nil {
		return nil, err
	}
	last, _, err := tx.LastCharged(who.Member)
	if err != nil {
		return nil, err
	}
	var list []ChargeNode
	for _, v := range tree.All() {
		if chargeable(tree, v, roots) {
			list = append(list, ChargeNode{Code: v.Code, Name: v.Name, Path: tree.Path(v.Node), Last: v.Node == last})
		}
	}
	return list, nil
}

// mayCharge finds a node by its code, if the person may charge it.
func mayCharge(tx *db.Tx, tree *hierarchy.Tree, who Actor, code string) (hierarchy.Version, error) {
	roots, err := chargeRoots(tx, who)
	if err != nil {
		return hierarchy.Version{}, err
	}
	if node, ok := tree.Code(code); ok && chargeable(tree, node, roots) {
		return node, nil
	}
	return hierarchy.Version{}, fault.Invalid("cost_center", "cost_center_absent", "No cost center that you may charge has code %.60q.", code)
}

// begin makes a login and its first credential.
func (l *Logins) begin(tx *db.Tx, who Actor, code, client string, ends time.Time) (Issued, error) {
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return Issued{}, err
	}
	node, err := mayCharge(tx, tree, who, code)
	if err != nil {
		return Issued{}, err
	}
	address, err := l.address(tx, who.Person)
	if err != nil {
		return Issued{}, err
	}
	before, err := tx.Logins(who.Member, maxLogins+maxLogins)
	if err != nil {
		return Issued{}, err
	}
	for i := maxLogins - 1; i < len(before); i++ {
		if err := tx.EndLogin(before[i].LoginID); err != nil {
			return Issued{}, err
		}
	}
	made := db.FreshLogin{ID: id.NewLogin(tx.Now), MemberID: who.Member, DeveloperID: who.Developer, LabelSealed: l.labels.Seal(who.Developer, address), Client: client, ExpiresAt: ends}
	refresh := secret.NewText(tx.Tenant.String() + "." + made.ID.String() + "." + secret.Mint("").Reveal())
	made.Refresh = l.refreshes.Current(refresh.Reveal())
	if err := tx.AddLogin(made); err != nil {
		return Issued{}, err
	}
	if err := l.charge(tx, made.ID, node); err != nil {
		return Issued{}, err
	}
	issued, err := l.issue(tx, made.ID, ends)
	if err != nil {
		return Issued{}, err
	}
	issued.Refresh, issued.Person, issued.CostCenter, issued.CenterName = refresh, who.Name, node.Code, node.Name
	return issued, tx.AppendAudit(auditlog.Record{Action: "login.began", Actor: who.ID(), Subject: made.ID.String(), Detail: map[string]any{
		"cost_center": node.Code, "session": who.Session.String(), "expires_at": ends.UTC().Format(time.RFC3339),
	}})
}

// address is the person's own e-mail address: what a declared developer is known by too,
// so that who declares and who signs in is one developer.
func (l *Logins) address(tx *db.Tx, person id.Person) (string, error) {
	sealed, err := tx.PersonEmail(person)
	if err != nil {
		return "", err
	}
	if len(sealed) == 0 {
		return "", errNoAddress
	}
	email, err := l.ring.Open(purposeEmail, person.String(), sealed)
	if err == nil && len(email) == 0 {
		err = errNoAddress
	}
	return string(email), err
}

// charge records what a login charges, by the key that stands for who signed in for it.
func (l *Logins) charge(tx *db.Tx, login id.Login, node hierarchy.Version) error {
	key, found, err := tx.SignInKey(node.Node)
	if err != nil {
		return err
	}
	if !found {
		if key, err = l.signInKey(tx, node); err != nil {
			return err
		}
	}
	return tx.ChargeLogin(login, node.Node, key)
}

// signInKey makes the key that stands for everybody who signed in to charge a node: what
// they use is summed under it. Nobody holds its secret.
func (l *Logins) signInKey(tx *db.Tx, node hierarchy.Version) (id.Key, error) {
	fresh := db.FreshKey{ID: id.NewKey(tx.Now), Label: "Signed-in developers, " + node.Code, Hint: "none", SignInNode: node.Node}
	fresh.Hash = l.keys.Current(secret.Mint(keyPrefix).Reveal())
	p := proposal{kind: changeKey, reason: "somebody signed in to charge it for the first time", payload: map[string]any{
		"key": fresh.ID.String(), "label": fresh.Label, "cost_center": node.Code, "sign_in": true, "key_hash": hex.EncodeToString(fresh.Hash[:]),
	}}
	_, err := l.changes.change(tx, System(tx.Tenant), p, func(c approval.Change) error {
		if err := tx.AddKey(fresh, c.ID); err != nil {
			return err
		}
		return tx.AssignKey(id.NewVersion(tx.Now), fresh.ID, node.Node, nil, c.EffectiveFrom, c.ID)
	})
	return fresh.ID, err
}

// issue gives a login one more credential. Gateways accept it within a second.
func (l *Logins) issue(tx *db.Tx, login id.Login, loginEnds time.Time) (Issued, error) {
	live, err := tx.LiveCredentials(login)
	if err != nil {
		return Issued{}, err
	}
	if live >= maxCredentials {
		return Issued{}, errCredentialsMany
	}
	issued := Issued{Login: login, Secret: secret.Mint(keyPrefix), ExpiresAt: tx.Now.Add(CredentialLife), LoginEndsAt: loginEnds.UTC()}
	if loginEnds.Before(issued.ExpiresAt) {
		issued.ExpiresAt = loginEnds.UTC()
	}
	tx.Notify()
	return issued, tx.AddCredential(id.NewVersion(tx.Now), login, l.keys.Current(issued.Secret.Reveal()), issued.ExpiresAt)
}

// held opens what belongs to a refresh secret: the login, locked, and whose it is.
func (l *Logins) held(ctx context.Context, refresh secret.Text, do func(tx *db.Tx, who Actor, row db.LoginRow, tree *hierarchy.Tree) error) error {
	tenant, login, err := parseHeld(refresh, id.ParseLogin)
	if err != nil {
		return ErrLogin
	}
	return l.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.SharePeople(); err != nil { // so that nobody is suspended meanwhile
			return err
		}
		if err := tx.LockLogin(login); err != nil {
			return err
		}
		row, found, err := tx.Login(login)
		if err != nil {
			return err
		}
		if !found || !holds(l.refreshes, refresh, row.RefreshHash) {
			return ErrLogin
		}
		who := Actor{Tenant: tenant, Kind: ActorPerson, Member: row.MemberID}
		if err := l.members.load(tx, &who); err != nil {
			if fault.KindOf(err) == fault.KindNotFound {
				return ErrLogin
			}
			return err
		}
		if err := l.access.Check(who, "login", "begin"); err != nil {
			return err
		}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		return do(tx, who, row, tree)
	})
}

// holds compares what was presented with what is stored, under every key accepted.
func holds(hasher *secret.Hasher, presented secret.Text, stored []byte) bool {
	same := 0
	for _, hash := range hasher.Accepted(presented.Reveal()) {
		same |= subtle.ConstantTimeCompare(hash[:], stored)
	}
	return same == 1
}

// parseHeld reads "tenant.thing.secret": the tenant is known before the database is asked.
func parseHeld[T any](held secret.Text, parse func(string) (T, error)) (id.Tenant, T, error) {
	var nothing T
	tenantText, rest, _ := strings.Cut(held.Reveal(), ".")
	thingText, _, _ := strings.Cut(rest, ".")
	tenant, err := id.ParseTenant(tenantText)
	if err != nil || tenant.IsZero() || len(held.Reveal()) > 200 {
		return id.Tenant{}, nothing, ErrLogin
	}
	thing, err := parse(thingText)
	return tenant, thing, err
}

// Refresh gives a login another credential, if what it charges may still be charged.
func (l *Logins) Refresh(ctx context.Context, refresh secret.Text) (Issued, error) {
	var issued Issued
	err := l.held(ctx, refresh, func(tx *db.Tx, who Actor, row db.LoginRow, tree *hierarchy.Tree) error {
		node, _ := tree.Node(row.NodeID)
		if _, err := mayCharge(tx, tree, who, node.Code); err != nil {
			return fault.New(fault.KindForbidden, "charge_ended", "You may not charge "+node.Code+" any more. Choose another: tollbook login switch CODE")
		}
		var err error
		issued, err = l.issue(tx, row.LoginID, row.ExpiresAt)
		if err != nil {
			return err
		}
		issued.Person, issued.CostCenter, issued.CenterName = who.Name, node.Code, node.Name
		return tx.AppendAudit(auditlog.Record{Action: "login.refreshed", Actor: who.ID(), Subject: row.LoginID.String(), Detail: map[string]any{"cost_center": node.Code}})
	})
	return issued, err
}

// Switch makes a login charge something else from now on, at every gateway within a
// second; its credentials stay. It leaves a record.
func (l *Logins) Switch(ctx context.Context, refresh secret.Text, code string) (Issued, error) {
	var issued Issued
	err := l.held(ctx, refresh, func(tx *db.Tx, who Actor, row db.LoginRow, tree *hierarchy.Tree) error {
		node, err := mayCharge(tx, tree, who, code)
		if err != nil {
			return err
		}
		before, _ := tree.Node(row.NodeID)
		issued = Issued{Login: row.LoginID, Person: who.Name, CostCenter: node.Code, CenterName: node.Name, LoginEndsAt: row.ExpiresAt.UTC(), WasCharging: before.Code}
		if node.Node == row.NodeID {
			return nil
		}
		if err := l.charge(tx, row.LoginID, node); err != nil {
			return err
		}
		tx.Notify()
		return tx.AppendAudit(auditlog.Record{
			Action: "login.switched", Actor: who.ID(), Subject: row.LoginID.String(), Detail: map[string]any{"cost_center": node.Code, "before": before.Code},
		})
	})
	return issued, err
}

// Status tells what a login is and what it may charge.
func (l *Logins) Status(ctx context.Context, refresh secret.Text) (Issued, error) {
	var issued Issued
	err := l.held(ctx, refresh, func(tx *db.Tx, who Actor, row db.LoginRow, tree *hierarchy.Tree) error {
		node, _ := tree.Node(row.NodeID)
		issued = Issued{Login: row.LoginID, Person: who.Name, CostCenter: node.Code, CenterName: node.Name, LoginEndsAt: row.ExpiresAt.UTC()}
		var err error
		issued.MayCharge, err = choices(tx, tree, who)
		return err
	})
	return issued, err
}

// End ends a login; gateways refuse its credentials within a second.
func (l *Logins) End(ctx context.Context, refresh secret.Text) error {
	return l.held(ctx, refresh, func(tx *db.Tx, who Actor, row db.LoginRow, _ *hierarchy.Tree) error {
		return l.end(tx, who, row.LoginID)
	})
}

func (l *Logins) end(tx *db.Tx, who Actor, login id.Login) error {
	if err := tx.EndLogin(login); err != nil {
		return err
	}
	tx.Notify()
	return tx.AppendAudit(auditlog.Record{Action: "login.ended", Actor: who.ID(), Subject: login.String()})
}

// LoginView is a login as lists show it.
type LoginView struct {
	ID                      id.Login
	Name                    string // whose
	Client                  string
	CostCenter              string
	BeganAt, SeenAt, EndsAt time.Time
	Own                     bool
}

// maxLoginsShown bounds the list.
const maxLoginsShown = 500

// List shows live logins: one's own, or everybody's to who may issue keys.
func (l *Logins) List(ctx context.Context, who Actor) ([]LoginView, error) {
	all := l.access.Check(who, "key", "propose") == nil
	if err := l.access.Check(who, "login", "begin"); err != nil && !all {
		return nil, err
	}
	var list []LoginView
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		member := who.Member
		if all {
			member = id.Member{}
		}
		rows, err := tx.Logins(member, maxLoginsShown)
		if err != nil {
			return err
		}
		scope := l.access.Scope(who, "key", "propose")
		for i := range rows {
			r := &rows[i]
			own := r.MemberID == who.Member
			if !own && scope != nil && !visible(tree, r.NodeID, scope) {
				continue
			}
			name, err := personName(l.ring, r.PersonID, r.NameSealed)
			if err != nil {
				return err
			}
			node, _ := tree.Node(r.NodeID)
			list = append(list, LoginView{
				ID: r.LoginID, Name: name, Client: r.Client, CostCenter: node.Code, BeganAt: r.RecordedAt.UTC(), SeenAt: r.LastSeenAt.UTC(), EndsAt: r.ExpiresAt.UTC(), Own: own,
			})
		}
		return nil
	})
	return list, err
}

// ErrLoginAbsent reports a login that is not there, is over, or not the actor's to end.
var ErrLoginAbsent = fault.New(fault.KindNotFound, "login_absent", "There is no such sign-in.")

// EndOne ends a login in the list, one's own or one that the actor may end.
func (l *Logins) EndOne(ctx context.Context, who Actor, login id.Login) error {
	all := l.access.Check(who, "key", "propose") == nil
	if err := l.access.Check(who, "login", "begin"); err != nil && !all {
		return err
	}
	return l.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.Login(login)
		if err != nil {
			return err
		}
		if !found {
			return ErrLoginAbsent
		}
		if row.MemberID != who.Member {
			tree, err := treeAt(tx, time.Time{})
			if err != nil {
				return err
			}
			if scope := l.access.Scope(who, "key", "propose"); !all || (scope != nil && !visible(tree, row.NodeID, scope)) {
				return ErrLoginAbsent
			}
		}
		return l.end(tx, who, login)
	})
}
