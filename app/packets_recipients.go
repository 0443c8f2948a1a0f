package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// The kinds of recipients of packets.
const (
	RecipientPerson  = "person"  // of the company: whom their issuer's address reaches
	RecipientMail    = "mail"    // another address
	RecipientS3      = "s3"      // a bucket
	RecipientWebhook = "webhook" // a system, told by a signed message with the digests
)

// What a recipient is sent of a packet.
const (
	CarriesArchive = "archive" // the whole packet
	CarriesSummary = "summary" // summary.pdf alone
	CarriesLink    = "link"    // the figures in words, and a link that asks to sign in and expires
)

// RecipientAsk is a recipient as somebody proposes it. Address is an e-mail address, or
// https://… of a webhook; of a bucket, Store says where it is.
type RecipientAsk struct {
	Kind      string     `json:"kind"`
	Label     string     `json:"label"`
	Member    string     `json:"member,omitempty"` // of a person
	Address   string     `json:"address,omitempty"`
	Store     *StoreAddr `json:"store,omitempty"`
	Secret    string     `json:"secret,omitempty"` // of a webhook, or of a bucket's access key
	Scope     string     `json:"scope,omitempty"`  // a node's code; empty: the whole company
	Carries   string     `json:"carries"`
	DraftDay  int        `json:"draft_day,omitempty"` // of the month after, in the company's zone; 0: no drafts
	DraftHour int        `json:"draft_hour,omitempty"`
	Final     bool       `json:"final"` // at close, and again when a closed month was corrected
}

// StoreAddr is a bucket, and how to speak to its store.
type StoreAddr struct {
	Endpoint  string `json:"endpoint"`
	Region    string `json:"region,omitempty"`
	Bucket    string `json:"bucket"`
	Prefix    string `json:"prefix,omitempty"`
	AccessKey string `json:"access_key"`
	LockDays  int    `json:"lock_days,omitempty"` // in compliance mode, which nobody can shorten; 0: no lock
}

// recipientPayload is what a record of the log says of a recipient: never a whole address, but a
// keyed digest of it, so that it is decided about, too.
type recipientPayload struct {
	Recipient id.Recipient `json:"recipient"`
	Kind      string       `json:"kind"`
	Label     string       `json:"label"`
	Host      string       `json:"host,omitempty"`
	Address   string       `json:"address_hmac_sha256,omitempty"`
	Member    string       `json:"member,omitempty"`
	Scope     string       `json:"scope,omitempty"`
	Carries   string       `json:"carries"`
	DraftDay  int          `json:"draft_day,omitempty"`
	DraftHour int          `json:"draft_hour,omitempty"`
	Final     bool         `json:"final"`
	LockDays  int          `json:"lock_days,omitempty"`
}

// Purposes of what is sealed of a recipient.
const (
	purposeRecipientAddress = "recipient-address"
	purposeRecipientSecret  = "recipient-secret"
)

const (
	maxRecipients        = 50  // live ones of a company
	maxRecipientsWaiting = 50  // proposals that nobody has decided about
	maxRecipientsList    = 500 // on the page: the live ones, and the newest of the others
	maxRecipientLabel    = 80
	maxDraftDay          = 28
	maxLockDays          = 36_600
	maxStoreText         = 200
)

var errRecipientsMany = fault.New(fault.KindConflict, "recipients_many", "There are fifty recipients already. End one first.")

var errRecipientsWaiting = fault.New(fault.KindConflict, "recipients_waiting", "Fifty proposals of recipients wait for a decision already. Have some decided, or withdraw one.")

// roomForRecipient refuses another recipient where there are as many as a company may have.
func roomForRecipient(tx *db.Tx) error {
	rows, err := tx.LiveRecipients(maxRecipients)
	if err == nil && len(rows) >= maxRecipients {
		err = errRecipientsMany
	}
	return err
}

// governRecipients registers the kinds of changes about who is sent packets. A second
// person decides: it says who outside hears what everything cost.
func (p *Packets) governRecipients() {
	g := governed{checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockRecipients, draft: p.draftRecipient, apply: p.applyRecipient, impact: recipientImpact, sealed: p.recipientSealed}
	p.changes.govern(changeRecipient, g)
	g.draft, g.apply, g.impact = p.draftRecipientEnd, p.applyRecipientEnd, recipientEndImpact
	p.changes.govern(changeRecipientEnd, g)
}

// draftRecipient makes a proposal of a recipient. Its address and secret are sealed beside
// the payload and never part of it.
func (p *Packets) draftRecipient(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want RecipientAsk
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	if err := want.check(); err != nil {
		return draft{}, err
	}
	if err := roomForRecipient(tx); err != nil {
		return draft{}, err
	}
	waiting, err := tx.Waiting([]string{changeRecipient}, maxRecipientsWaiting)
	if err != nil {
		return draft{}, err
	}
	if len(waiting) >= maxRecipientsWaiting {
		return draft{}, errRecipientsWaiting
	}
	row := db.RecipientRow{
		RecipientID: id.NewRecipient(tx.Now), Kind: want.Kind, Label: want.Label, ScopeCode: want.Scope, Carries: want.Carries, DraftHour: want.DraftHour, Final: want.Final,
	}
	if want.DraftDay > 0 {
		row.DraftDay = &want.DraftDay
	}
	if row.ScopeNodeID, err = scopeNode(tx, want.Scope); err != nil {
		return draft{}, err
	}
	if err := p.address(tx, &want, &row); err != nil {
		return draft{}, err
	}
	address, err := p.addressDigest(&row)
	if err != nil {
		return draft{}, err
	}
	said := recipientPayload{
		Recipient: row.RecipientID, Kind: want.Kind, Label: want.Label, Host: row.Host, Address: address, Member: want.Member, Scope: want.Scope, Carries: want.Carries, DraftDay: want.DraftDay, DraftHour: want.DraftHour, Final: want.Final,
	}
	if want.Store != nil {
		said.LockDays = want.Store.LockDays
	}
	return draft{payload: said, store: func(tx *db.Tx, c approval.Change) error {
		row.ChangeID = c.ID
		return tx.AddRecipient(&row)
	}}, nil
}

// check refuses what no recipient can be.
func (a *RecipientAsk) check() error {
	if a.Label = strings.TrimSpace(a.Label); a.Label == "" || usage.Clip(a.Label, maxRecipientLabel) != a.Label {
		return fault.Invalid("label", "recipient_label", "A label has 1 to %d bytes of printable UTF-8.", maxRecipientLabel)
	}
	switch {
	case !slices.Contains([]string{RecipientPerson, RecipientMail, RecipientS3, RecipientWebhook}, a.Kind):
		return fault.Invalid("kind", "recipient_kind", "A recipient is a person, mail, s3 or webhook.")
	case !slices.Contains([]string{CarriesArchive, CarriesSummary, CarriesLink}, a.Carries):
		return fault.Invalid("carries", "recipient_carries", "A recipient is sent the archive, the summary or a link.")
	case a.Kind == RecipientS3 && a.Carries == CarriesLink:
		return fault.Invalid("carries", "recipient_carries", "A bucket keeps files: it is sent the archive or the summary.")
	case a.Kind == RecipientWebhook && a.Carries != CarriesLink:
		return fault.Invalid("carries", "recipient_carries", "A webhook is told of a packet: it is sent the link, with every file’s digest.")
	case a.DraftDay < 0 || a.DraftDay > maxDraftDay || a.DraftHour < 0 || a.DraftHour > 23:
		return fault.Invalid("draft_day", "recipient_schedule", "Drafts go on a day from 1 to %d of the month after, at an hour from 0 to 23.", maxDraftDay)
	case a.DraftDay == 0 && !a.Final:
		return fault.Invalid("final", "recipient_schedule", "A recipient is sent drafts, final packets or both.")
	}
	return nil
}

// address checks where a recipient is and seals it.
func (p *Packets) address(tx *db.Tx, want *RecipientAsk, row *db.RecipientRow) error {
	if want.Kind != RecipientPerson && want.Member != "" || want.Kind != RecipientS3 && want.Store != nil {
		return fault.Invalid("kind", "recipient_kind", "A person has a member, a bucket has a store, and no other has.")
	}
	switch want.Kind {
	case RecipientPerson:
		member, err := id.ParseMember(want.Member)
		if err != nil {
			return fault.Invalid("member", "recipient_member", "Choose a person of the company.")
		}
		row.MemberID = &member
		if why, err := p.unreachable(tx, row); err != nil {
			return err
		} else if why != "" {
			return fault.Invalid("member", "recipient_member", "%s", why)
		}
	case RecipientMail:
		at, err := mail.ParseAddress(want.Address)
		if err != nil || at.Name != "" || at.Address != want.Address || len(want.Address) > maxStoreText || strings.ContainsAny(want.Address, "\r\n\x00<>,; ") {
			return fault.Invalid("address", "recipient_address", "An address is like cfo@example.com.")
		}
		_, domain, _ := strings.Cut(at.Address, "@")
		p.sealAddress(row, []byte(at.Address), domain)
	case RecipientWebhook:
		return p.hook(tx, want, row)
	case RecipientS3:
		return p.bucket(want, row)
	}
	return nil
}

// hook seals the address and the secret of a system.
func (p *Packets) hook(tx *db.Tx, want *RecipientAsk, row *db.RecipientRow) error {
	u, err := notice.ParseURL(want.Address, p.rules.Development)
	if err != nil {
		return fault.Invalid("address", "recipient_address", "%s", fault.From(err).Message)
	}
	if want.Secret == "" {
		want.Secret = notice.NewSecret()
	}
	if _, err := notice.Sign(want.Secret, "x", tx.Now, nil); err != nil {
		return fault.Invalid("secret", "recipient_secret", "The secret is whsec_ and base64.")
	}
	p.sealAddress(row, []byte(want.Address), u.Host)
	row.SecretSealed = p.ring.Seal(purposeRecipientSecret, row.RecipientID.String(), []byte(want.Secret))
	return nil
}

// bucket seals where a bucket is, and its key.
func (p *Packets) bucket(want *RecipientAsk, row *db.RecipientRow) error {
	host, err := want.Store.check(p.rules.Development)
	if err != nil {
		return err
	}
	if want.Secret == "" || len(want.Secret) > maxStoreText {
		return fault.Invalid("secret", "recipient_secret", "A bucket needs the secret of its access key.")
	}
	document, err := json.Marshal(want.Store) //nolint:gosec // what is made of it is sealed
	if err != nil {
		return fmt.Errorf("encode bucket: %w", err)
	}
	p.sealAddress(row, document, host)
	row.SecretSealed = p.ring.Seal(purposeRecipientSecret, row.RecipientID.String(), []byte(want.Secret))
	return nil
}

func (p *Packets) sealAddress(row *db.RecipientRow, address []byte, host string) {
	row.AddressSealed, row.Host = p.ring.Seal(purposeRecipientAddress, row.RecipientID.String(), address), host
}

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)
)

// check refuses what is no bucket; host is what is shown of it.
func (s *StoreAddr) check(development bool) (host string, err error) {
	if s == nil {
		return "", fault.Invalid("endpoint", "recipient_store", "A bucket has an endpoint, a name and an access key.")
	}
	u, err := notice.ParseURL(s.Endpoint, development)
	if err != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", fault.Invalid("endpoint", "recipient_store", "The endpoint is like https://s3.eu-central-1.amazonaws.com.")
	}
	s.Prefix = strings.Trim(s.Prefix, "/")
	switch {
	case !bucketForm.MatchString(s.Bucket):
		return "", fault.Invalid("bucket", "recipient_store", "A bucket’s name has 3 to 63 small letters, digits, points and hyphens.")
	case !prefixForm.MatchString(s.Prefix) || len(s.Prefix) > maxStoreText || strings.Contains(s.Prefix, ".."):
		return "", fault.Invalid("prefix", "recipient_store", "A prefix has letters, digits, points, hyphens, underscores and slashes.")
	case s.AccessKey == "" || usage.Clip(s.AccessKey, maxStoreText) != s.AccessKey || usage.Clip(s.Region, maxStoreText) != s.Region:
		return "", fault.Invalid("access_key", "recipient_store", "A bucket needs an access key.")
	case s.LockDays < 0 || s.LockDays > maxLockDays:
		return "", fault.Invalid("lock_days", "recipient_store", "Objects are locked for 0 to %d days.", maxLockDays)
	}
	return u.Host + "/" + s.Bucket, nil
}

// unreachable is why a person cannot be sent packets of a scope; empty: they can.
func (p *Packets) unreachable(tx *db.Tx, row *db.RecipientRow) (string, error) {
	member, err := tx.MemberNow(*row.MemberID)
	if err != nil {
		return "The person is not of this company.", nil //nolint:nilerr // whatever the reason, they are sent nothing
	}
	if member.SuspendedAt != nil || member.Kind != memberPerson {
		return "The account cannot sign in.", nil
	}
	held, err := tx.GrantsOf(*row.MemberID)
	if err != nil {
		return "", err
	}
	who := Actor{Tenant: tx.Tenant, Kind: ActorPerson, Member: *row.MemberID}
	for i := range held {
		who.Grants = append(who.Grants, Grant{Role: Role(held[i].Role), Node: held[i].NodeID})
	}
	if allowed := p.access.Check(who, "packet", "read") == nil; !allowed {
		return "The person may not see packets: they need another role first.", nil
	}
	if sees, err := p.sees(tx, who, row.ScopeNodeID); err != nil || !sees {
		return "The person may see packets of their own part of the company alone.", err
	}
	return "", nil
}

// sees tells whether somebody may see packets of a scope.
func (p *Packets) sees(tx *db.Tx, who Actor, scope *id.Node) (bool, error) {
	within := p.access.Scope(who, "packet", "read")
	if within == nil {
		return true, nil
	}
	if scope == nil {
		return false, nil
	}
	tree, err := treeKnown(tx, tx.Now, tx.Now)
	if err != nil {
		return false, err
	}
	return visible(tree, *scope, within), nil
}

func recipientImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var r recipientPayload
	if err := stored(c, &r); err != nil {
		return approval.Impact{}, err
	}
	return approval.Impact{Sentence: fmt.Sprintf("%s %s", r.whom(), r.words())}, nil
}

func (r *recipientPayload) whom() string {
	if r.Host != "" {
		return r.Label + " (" + r.Host + ")"
	}
	return r.Label
}

// words say what a recipient is sent, and when.
func (r *recipientPayload) words() string {
	of := "the whole company"
	if r.Scope != "" {
		of = r.Scope + " and all below it"
	}
	what := map[string]string{CarriesArchive: "the whole packet", CarriesSummary: "the summary alone", CarriesLink: "a message with a link, which asks to sign in"}[r.Carries]
	var when []string
	if r.DraftDay > 0 {
		when = append(when, "a draft on day "+strconv.Itoa(r.DraftDay)+" of the month after at "+fmt.Sprintf("%02d:00", r.DraftHour)+" of the company’s zone")
	}
	if r.Final {
		when = append(when, "the final one at close")
	}
	text := "is sent " + what + " of " + of + ": " + strings.Join(when, ", and ") + "."
	if r.LockDays > 0 {
		text += " Objects are locked for " + strconv.Itoa(r.LockDays) + " days, which nobody can shorten."
	}
	return text
}

func (p *Packets) draftRecipientEnd(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var ask struct {
		Recipient id.Recipient `json:"recipient"`
	}
	if err := strict(payload, &ask); err != nil {
		return draft{}, err
	}
	row, err := recipientOf(tx, ask.Recipient)
	if err != nil {
		return draft{}, err
	}
	return draft{payload: recipientPayload{Recipient: row.RecipientID, Kind: row.Kind, Label: row.Label, Host: row.Host, Scope: row.ScopeCode, Carries: row.Carries, Final: row.Final}}, nil
}

func (p *Packets) applyRecipientEnd(tx *db.Tx, c approval.Change) error {
	var r recipientPayload
	if err := stored(c, &r); err != nil {
		return err
	}
	ended, err := tx.EndRecipient(r.Recipient, c.ID)
	if err == nil && !ended {
		err = errRecipientAbsent
	}
	return err
}

func recipientEndImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var r recipientPayload
	if err := stored(c, &r); err != nil {
		return approval.Impact{}, err
	}
	return approval.Impact{Sentence: r.whom() + " is sent no packet any more."}, nil
}

var errRecipientAbsent = fault.New(fault.KindNotFound, "recipient_absent", "There is no such recipient.")

// recipientOf finds a live recipient.
func recipientOf(tx *db.Tx, recipient id.Recipient) (db.RecipientRow, error) {
	row, found, err := tx.Recipient(recipient)
	if err == nil && (!found || !row.Live) {
		err = errRecipientAbsent
	}
	return row, err
}

// MadeRecipient is a recipient as its maker sees it, once.
type MadeRecipient struct {
	ChangeView

	Secret secret.Text // of a signed webhook; empty for the others
}

// AddRecipient proposes a recipient.
func (p *Packets) AddRecipient(ctx context.Context, who Actor, want RecipientAsk, reason string) (MadeRecipient, error) {
	made := MadeRecipient{}
	if want.Kind == RecipientWebhook && want.Secret == "" {
		want.Secret = notice.NewSecret()
		made.Secret = secret.NewText(want.Secret)
	}
	var err error
	made.ChangeView, err = p.approvals.Propose(ctx, who, ask(changeRecipient, reason, want), "")
	return made, err
}

// EndRecipient proposes that somebody is sent no packet any more.
func (p *Packets) EndRecipient(ctx context.Context, who Actor, recipient id.Recipient, reason string) (ChangeView, error) {
	return p.approvals.Propose(ctx, who, ask(changeRecipientEnd, reason, map[string]string{"recipient": recipient.String()}), "")
}

// RecipientView is somebody who is sent packets.
type RecipientView struct {
	ID       id.Recipient
	Kind     string
	Label    string
	Host     string
	Sealed   []SealedFact // where they are; nothing of a person
	Person   Hand         // of a person
	Scope    string
	Carries  string
	Words    string // what they are sent, and when
	State    approval.State
	Live     bool
	EndedAt  time.Time // zero: it was not ended
	Since    time.Time
	By       Hand
	Change   id.Change
	Number   int64
	LastSent time.Time // zero: nothing was
}

// Recipients lists who is sent packets, and behind them who was or would be; the newest of each
// first.
func (p *Packets) Recipients(ctx context.Context, who Actor) ([]RecipientView, error) {
	if err := p.access.Check(who, "recipient", "read"); err != nil {
		return nil, err
	}
	var list []RecipientView
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Recipients(maxRecipientsList)
		if err != nil {
			return err
		}
		var actors []string
		for i := range rows {
			actors = append(actors, rows[i].Maker)
			if rows[i].MemberID != nil {
				actors = append(actors, rows[i].MemberID.String())
			}
		}
		hands, err := p.members.hands(tx, actors)
		if err != nil {
			return err
		}
		for i := range rows {
			one := recipientView(&rows[i], hands)
			one.Sealed = p.addressFacts(&rows[i])
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

func recipientView(r *db.RecipientRow, hands map[string]Hand) RecipientView {
	said := recipientPayload{Label: r.Label, Host: r.Host, Scope: r.ScopeCode, Carries: r.Carries, DraftHour: r.DraftHour, Final: r.Final}
	if r.DraftDay != nil {
		said.DraftDay = *r.DraftDay
	}
	one := RecipientView{
		ID: r.RecipientID, Kind: r.Kind, Label: r.Label, Host: r.Host, Scope: r.ScopeCode, Carries: r.Carries, Words: said.words(), State: approval.State(r.State), Live: r.Live, Since: r.RecordedAt.UTC(),
		By: hands[r.Maker], Change: r.ChangeID, Number: r.Number,
	}
	if r.MemberID != nil {
		one.Person = hands[r.MemberID.String()]
	}
	if r.EndedAt != nil {
		one.EndedAt = r.EndedAt.UTC()
	}
	return one
}

// parsedStore reads back where a bucket is.
func parsedStore(document []byte) (StoreAddr, error) {
	var s StoreAddr
	if err := json.Unmarshal(document, &s); err != nil {
		return s, fmt.Errorf("read bucket: %w", err)
	}
	return s, nil
}

// Candidates are the people who may see packets of the whole company or of a part of it, and
// may be chosen as recipients.
func (p *Packets) Candidates(ctx context.Context, who Actor) ([]Hand, error) {
	if err := p.changes.allowed(who, changeRecipient); err != nil {
		return nil, err
	}
	var list []Hand
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.MembersAt(tx.Now, maxRecipientChoices)
		if err != nil {
			return err
		}
		held, err := tx.GrantsAt(tx.Now, maxRecipientChoices*len(Roles()))
		if err != nil {
			return err
		}
		grants := map[id.Member][]Grant{}
		for i := range held {
			grants[held[i].MemberID] = append(grants[held[i].MemberID], Grant{Role: Role(held[i].Role), Node: held[i].NodeID})
		}
		for i := range rows {
			r := &rows[i]
			at := Actor{Tenant: tx.Tenant, Kind: ActorPerson, Member: r.MemberID, Grants: grants[r.MemberID]}
			if r.Kind == memberPerson && r.SuspendedAt == nil && p.access.Check(at, "packet", "read") == nil {
				list = append(list, Hand{Name: p.members.name(r.PersonID, r.NameSealed), Member: r.MemberID})
			}
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b Hand) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

const maxRecipientChoices = 1000
