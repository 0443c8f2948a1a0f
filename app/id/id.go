package id

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"tollbook/app/fault"
)

// Kind is what an identifier names; its prefix is part of the printed form.
type Kind interface{ Prefix() string }

// Of is an identifier of one kind of thing. The zero value names nothing.
type Of[K Kind] struct{ raw uuid.UUID }

// New makes an identifier whose leading bits are the millisecond of now.
func New[K Kind](now time.Time) Of[K] {
	raw := uuid.Must(uuid.NewV7())
	ms := now.UnixMilli()
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	return Of[K]{raw: raw}
}

// Derive makes the identifier that the same parts always give: what is interned
// (placements, developers) finds itself again without a lookup.
func Derive[K Kind](parts ...[]byte) Of[K] {
	h := sha256.New()
	var kind K
	h.Write([]byte(kind.Prefix()))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	var raw uuid.UUID
	copy(raw[:], h.Sum(nil))
	raw[6] = raw[6]&0x0f | 0x80 // version 8: custom, RFC 9562
	raw[8] = raw[8]&0x3f | 0x80
	return Of[K]{raw: raw}
}

// FromBytes wraps 16 bytes read back from a journal or a column.
func FromBytes[K Kind](b [16]byte) Of[K] { return Of[K]{raw: b} }

// Parse reads the printed form, with its prefix, or a bare UUID.
func Parse[K Kind](text string) (Of[K], error) {
	var kind K
	raw, err := uuid.Parse(strings.TrimPrefix(text, kind.Prefix()))
	if err != nil || len(text) > 64 {
		return Of[K]{}, fault.Invalid("id", "id_syntax", "%.64q is not an id of the form %s….", text, kind.Prefix())
	}
	return Of[K]{raw: raw}, nil
}

// Bytes returns the 16 bytes.
func (i Of[K]) Bytes() [16]byte { return i.raw }

// UUID returns the bare UUID text, as Postgres prints it.
func (i Of[K]) UUID() string { return i.raw.String() }

// IsZero tells whether the identifier names nothing.
func (i Of[K]) IsZero() bool { return i.raw == uuid.Nil }

// Time is the millisecond in a UUIDv7, UTC.
func (i Of[K]) Time() time.Time {
	var ms int64
	for _, b := range i.raw[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

// String prints the prefix and 32 hexadecimal digits.
func (i Of[K]) String() string {
	if i.IsZero() {
		return ""
	}
	return string(i.Append(make([]byte, 0, textRoom)))
}

const textRoom = 36 // a prefix and 32 digits

// Append appends what String prints.
func (i Of[K]) Append(out []byte) []byte {
	if i.IsZero() {
		return out
	}
	var kind K
	return hex.AppendEncode(append(out, kind.Prefix()...), i.raw[:])
}

// MarshalText implements encoding.TextMarshaler.
func (i Of[K]) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; empty text is the zero id.
func (i *Of[K]) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*i = Of[K]{}
		return nil
	}
	parsed, err := Parse[K](string(text))
	if err != nil {
		return err
	}
	*i = parsed
	return nil
}

// Value implements driver.Valuer; the zero id is NULL.
func (i Of[K]) Value() (driver.Value, error) {
	if i.IsZero() {
		return nil, nil //nolint:nilnil // NULL is what a zero id means to database/sql
	}
	return i.raw.String(), nil
}

// Scan implements sql.Scanner; NULL is the zero id.
func (i *Of[K]) Scan(source any) error {
	if source == nil {
		*i = Of[K]{}
		return nil
	}
	return i.raw.Scan(source)
}

// Kinds of things that have an identifier.
type (
	tenant    struct{}
	entity    struct{}
	node      struct{}
	version   struct{}
	placement struct{}
	key       struct{}
	person    struct{}
	member    struct{}
	developer struct{}
	token     struct{}
	session   struct{}
	signIn    struct{}
	issuer    struct{}
	upstream  struct{}
	change    struct{}
	record    struct{}
	event     struct{}
	batch     struct{}
	view      struct{}
	replica   struct{}
	grant     struct{}

	invitation struct{}
	right      struct{}
	login      struct{}
	ask        struct{}
	signUp     struct{}
	vote       struct{}
	remark     struct{}
	attachment struct{}
	delegation struct{}
	delivery   struct{}
	channel    struct{}
	decision   struct{}
	entry      struct{}
	pull       struct{}
	exported   struct{}
	invoice    struct{}
	allocation struct{}
	run        struct{}
	variance   struct{}
	dispute    struct{}
	packet     struct{}
	recipient  struct{}
)

// Prefix implements Kind.
func (tenant) Prefix() string { return "ten_" }

// Prefix implements Kind.
func (entity) Prefix() string { return "ent_" }

// Prefix implements Kind.
func (node) Prefix() string { return "nod_" }

// Prefix implements Kind.
func (version) Prefix() string { return "ver_" }

// Prefix implements Kind.
func (placement) Prefix() string { return "plc_" }

// Prefix implements Kind.
func (key) Prefix() string { return "key_" }

// Prefix implements Kind.
func (person) Prefix() string { return "per_" }

// Prefix implements Kind.
func (member) Prefix() string { return "mem_" }

// Prefix implements Kind.
func (developer) Prefix() string { return "dev_" }

// Prefix implements Kind.
func (token) Prefix() string { return "tok_" }

// Prefix implements Kind.
func (session) Prefix() string { return "ses_" }

// Prefix implements Kind.
func (signIn) Prefix() string { return "sig_" }

// Prefix implements Kind.
func (issuer) Prefix() string { return "iss_" }

// Prefix implements Kind.
func (upstream) Prefix() string { return "ups_" }

// Prefix implements Kind.
func (change) Prefix() string { return "chg_" }

// Prefix implements Kind.
func (record) Prefix() string { return "rec_" }

// Prefix implements Kind.
func (event) Prefix() string { return "evt_" }

// Prefix implements Kind.
func (batch) Prefix() string { return "bat_" }

// Prefix implements Kind.
func (view) Prefix() string { return "viw_" }

// Prefix implements Kind.
func (replica) Prefix() string { return "rep_" }

// Prefix implements Kind.
func (grant) Prefix() string { return "gra_" }

// Prefix implements Kind.
func (invitation) Prefix() string { return "inv_" }

// Prefix implements Kind.
func (right) Prefix() string { return "rgt_" }

// Prefix implements Kind.
func (login) Prefix() string { return "lgn_" }

// Prefix implements Kind.
func (ask) Prefix() string { return "ask_" }

// Prefix implements Kind.
func (signUp) Prefix() string { return "sup_" }

// Prefix implements Kind.
func (vote) Prefix() string { return "vot_" }

// Prefix implements Kind.
func (remark) Prefix() string { return "rmk_" }

// Prefix implements Kind.
func (attachment) Prefix() string { return "att_" }

// Prefix implements Kind.
func (delegation) Prefix() string { return "dlg_" }

// Prefix implements Kind.
func (delivery) Prefix() string { return "dlv_" }

// Prefix implements Kind.
func (channel) Prefix() string { return "chn_" }

// Prefix implements Kind.
func (decision) Prefix() string { return "dcn_" }

// Prefix implements Kind.
func (entry) Prefix() string { return "jnl_" }

// Prefix implements Kind.
func (pull) Prefix() string     { return "pul_" }
func (exported) Prefix() string { return "exp_" }

// Prefix implements Kind.
func (invoice) Prefix() string { return "inv_" }

// Prefix implements Kind.
func (allocation) Prefix() string { return "alc_" }

// Prefix implements Kind.
func (run) Prefix() string { return "run_" }

// Prefix implements Kind.
func (variance) Prefix() string { return "var_" }

// Prefix implements Kind.
func (dispute) Prefix() string { return "dsp_" }

// Prefix implements Kind.
func (packet) Prefix() string { return "pkt_" }

// Prefix implements Kind.
func (recipient) Prefix() string { return "rcp_" }

// The identifier types.
type (
	Tenant    = Of[tenant]
	Entity    = Of[entity]
	Node      = Of[node]
	Version   = Of[version]
	Placement = Of[placement]
	Key       = Of[key]
	Person    = Of[person]
	Member    = Of[member]
	Developer = Of[developer]
	Token     = Of[token]
	Session   = Of[session]
	SignIn    = Of[signIn]
	Issuer    = Of[issuer]
	Upstream  = Of[upstream]
	Change    = Of[change]
	Record    = Of[record]
	Event     = Of[event]
	Batch     = Of[batch]
	View      = Of[view]
	Replica   = Of[replica]
	Grant     = Of[grant]

	Invitation = Of[invitation]
	Right      = Of[right]
	Login      = Of[login]
	Ask        = Of[ask]
	SignUp     = Of[signUp]
	Vote       = Of[vote]
	Remark     = Of[remark]
	Attachment = Of[attachment]
	Delegation = Of[delegation]
	Delivery   = Of[delivery]
	Channel    = Of[channel]
	Decision   = Of[decision]
	Entry      = Of[entry]
	Pull       = Of[pull]
	Export     = Of[exported]
	Invoice    = Of[invoice]
	Allocation = Of[allocation]
	Run        = Of[run]
	Variance   = Of[variance]
	Dispute    = Of[dispute]
	Packet     = Of[packet]
	Recipient  = Of[recipient]
)

// NewTenant and its siblings make a fresh identifier at now.
func NewTenant(now time.Time) Tenant { return New[tenant](now) }

// NewNode makes a node id.
func NewNode(now time.Time) Node { return New[node](now) }

// NewVersion makes the id of one effective-dated version.
func NewVersion(now time.Time) Version { return New[version](now) }

// NewKey makes a virtual key's id.
func NewKey(now time.Time) Key { return New[key](now) }

// NewPerson makes a person's id.
func NewPerson(now time.Time) Person { return New[person](now) }

// NewMember makes a member's id.
func NewMember(now time.Time) Member { return New[member](now) }

// NewToken makes an API token's id.
func NewToken(now time.Time) Token { return New[token](now) }

// NewSession makes a session's id.
func NewSession(now time.Time) Session { return New[session](now) }

// NewSignIn makes the id of one attempt to sign in.
func NewSignIn(now time.Time) SignIn { return New[signIn](now) }

// NewSignUp makes the id of one attempt to found a company.
func NewSignUp(now time.Time) SignUp { return New[signUp](now) }

// NewIssuer makes an issuer's id.
func NewIssuer(now time.Time) Issuer { return New[issuer](now) }

// NewInvitation makes an invitation's id.
func NewInvitation(now time.Time) Invitation { return New[invitation](now) }

// NewChange makes a change's id.
func NewChange(now time.Time) Change { return New[change](now) }

// NewVote makes the id of one approval of one step.
func NewVote(now time.Time) Vote { return New[vote](now) }

// NewRemark makes the id of what somebody said about a change.
func NewRemark(now time.Time) Remark { return New[remark](now) }

// NewAttachment makes the id of a file that belongs to a change.
func NewAttachment(now time.Time) Attachment { return New[attachment](now) }

// NewDelegation makes a delegation's id.
func NewDelegation(now time.Time) Delegation { return New[delegation](now) }

// NewDelivery makes the id of one message to one recipient.
func NewDelivery(now time.Time) Delivery { return New[delivery](now) }

// NewChannel makes the id of a system that hears of changes.
func NewChannel(now time.Time) Channel { return New[channel](now) }

// NewDecision makes the id of a decision that an issuer is to confirm.
func NewDecision(now time.Time) Decision { return New[decision](now) }

// NewInvoice makes an invoice's id.
func NewInvoice(now time.Time) Invoice { return New[invoice](now) }

// NewAllocation makes an allocation's id.
func NewAllocation(now time.Time) Allocation { return New[allocation](now) }

// NewEntry makes a journal entry's id.
func NewEntry(now time.Time) Entry { return New[entry](now) }

// NewPacket makes a packet's id.
func NewPacket(now time.Time) Packet { return New[packet](now) }

// NewRecipient makes the id of somebody who is sent packets.
func NewRecipient(now time.Time) Recipient { return New[recipient](now) }

// NewPull makes the id of one fetch of a provider's report.
func NewPull(now time.Time) Pull { return New[pull](now) }

// NewExport makes the id of a journal as it was exported.
func NewExport(now time.Time) Export { return New[exported](now) }

// NewRun makes the id of a reconciliation.
func NewRun(now time.Time) Run { return New[run](now) }

// NewVariance makes a variance's id.
func NewVariance(now time.Time) Variance { return New[variance](now) }

// NewDispute makes a dispute's id.
func NewDispute(now time.Time) Dispute { return New[dispute](now) }

// NewRecord makes an audit record's id.
func NewRecord(now time.Time) Record { return New[record](now) }

// NewEvent makes a usage event's id: its millisecond is the request's start.
func NewEvent(now time.Time) Event { return New[event](now) }

// NewRight makes the id of a right to charge a node.
func NewRight(now time.Time) Right { return New[right](now) }

// NewLogin makes the id of a command line's login.
func NewLogin(now time.Time) Login { return New[login](now) }

// NewAsk makes the id of a command line's wish for a login.
func NewAsk(now time.Time) Ask { return New[ask](now) }

// NewView makes a saved view's id.
func NewView(now time.Time) View { return New[view](now) }

// NewBatch makes a usage batch's id.
func NewBatch(now time.Time) Batch { return New[batch](now) }

// EventFromBytes reads an event id back from a journal record.
func EventFromBytes(b [16]byte) Event { return FromBytes[event](b) }

// ReplicaFromBytes wraps a replica's UUID.
func ReplicaFromBytes(b [16]byte) Replica { return FromBytes[replica](b) }

// DerivePlacement interns a placement: equal parts, equal id.
func DerivePlacement(parts ...[]byte) Placement { return Derive[placement](parts...) }

// DeriveDeveloper gives a declared developer's opaque id from a keyed hash.
func DeriveDeveloper(parts ...[]byte) Developer { return Derive[developer](parts...) }

// ParseNode reads a node id.
func ParseNode(text string) (Node, error) { return Parse[node](text) }

// ParseKey reads a virtual key's id.
func ParseKey(text string) (Key, error) { return Parse[key](text) }

// ParseTenant reads a tenant id.
func ParseTenant(text string) (Tenant, error) { return Parse[tenant](text) }

// ParseInvoice reads an invoice's id.
func ParseInvoice(text string) (Invoice, error) { return Parse[invoice](text) }

// ParsePacket reads a packet's id.
func ParsePacket(text string) (Packet, error) { return Parse[packet](text) }

// ParseRecipient reads the id of somebody who is sent packets.
func ParseRecipient(text string) (Recipient, error) { return Parse[recipient](text) }

// ParseEntry reads a journal entry's id.
func ParseEntry(text string) (Entry, error) { return Parse[entry](text) }

// ParsePull reads the id of one fetch of a provider's report.
func ParsePull(text string) (Pull, error) { return Parse[pull](text) }

// ParseExport reads the id of a journal as it was exported.
func ParseExport(text string) (Export, error) { return Parse[exported](text) }

// ParseVariance reads a variance's id.
func ParseVariance(text string) (Variance, error) { return Parse[variance](text) }

// ParseDispute reads a dispute's id.
func ParseDispute(text string) (Dispute, error) { return Parse[dispute](text) }

// ParseRecord reads an audit record's id.
func ParseRecord(text string) (Record, error) { return Parse[record](text) }

// ParseBatch reads a usage batch's id.
func ParseBatch(text string) (Batch, error) { return Parse[batch](text) }

// ParseEvent reads a usage event's id.
func ParseEvent(text string) (Event, error) { return Parse[event](text) }

// ParseMember reads a member's id.
func ParseMember(text string) (Member, error) { return Parse[member](text) }

// ParseToken reads an API token's id.
func ParseToken(text string) (Token, error) { return Parse[token](text) }

// ParseInvitation reads an invitation's id.
func ParseInvitation(text string) (Invitation, error) { return Parse[invitation](text) }

// ParseVersion reads the id of one effective-dated version.
func ParseVersion(text string) (Version, error) { return Parse[version](text) }

// ParseSession reads a session's id.
func ParseSession(text string) (Session, error) { return Parse[session](text) }

// ParseSignIn reads the id of an attempt to sign in.
func ParseSignIn(text string) (SignIn, error) { return Parse[signIn](text) }

// ParseSignUp reads the id of an attempt to found a company.
func ParseSignUp(text string) (SignUp, error) { return Parse[signUp](text) }

// ParseIssuer reads an issuer's id.
func ParseIssuer(text string) (Issuer, error) { return Parse[issuer](text) }

// ParseRight reads the id of a right to charge a node.
func ParseRight(text string) (Right, error) { return Parse[right](text) }

// ParseLogin reads a login's id.
func ParseLogin(text string) (Login, error) { return Parse[login](text) }

// ParseAsk reads the id of a wish for a login.
func ParseAsk(text string) (Ask, error) { return Parse[ask](text) }

// ParseView reads a saved view's id.
func ParseView(text string) (View, error) { return Parse[view](text) }

// ParseChange reads a change's id.
func ParseChange(text string) (Change, error) { return Parse[change](text) }

// ParseAttachment reads the id of a file that belongs to a change.
func ParseAttachment(text string) (Attachment, error) { return Parse[attachment](text) }

// ParseDecision reads a decision's id.
func ParseDecision(text string) (Decision, error) { return Parse[decision](text) }

// ParseDelegation reads a delegation's id.
func ParseDelegation(text string) (Delegation, error) { return Parse[delegation](text) }

// ParseDelivery reads a delivery's id.
func ParseDelivery(text string) (Delivery, error) { return Parse[delivery](text) }

// ParseChannel reads a channel's id.
func ParseChannel(text string) (Channel, error) { return Parse[channel](text) }

// ParsePerson reads a person's id.
func ParsePerson(text string) (Person, error) { return Parse[person](text) }

// DeveloperFromBytes wraps a developer's UUID.
func DeveloperFromBytes(b [16]byte) Developer { return FromBytes[developer](b) }

// ParseDeveloper reads a developer's opaque id, with its prefix.
func ParseDeveloper(text string) (Developer, error) {
	if !strings.HasPrefix(text, developer{}.Prefix()) {
		return Developer{}, fault.Invalid("developer", "id_syntax", "%.64q is no developer id.", text)
	}
	return Parse[developer](text)
}

// ParsePlacement reads a placement id.
func ParsePlacement(text string) (Placement, error) { return Parse[placement](text) }
