package app

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// CaseView is one change with all it takes to decide about it, and what was said.
type CaseView struct {
	ChangeView
	Steps       []StepView
	Void        []VoteView // approvals that do not count any more: of a former content, or of who cannot sign in now
	Remarks     []RemarkView
	Attachments []AttachmentView
	Revisions   []RevisionView
	Revisable   bool         // the kind lets its maker edit it
	Sealed      []SealedFact // what is kept sealed beside the content
	May         May
}

// StepView is a step of the policy with its approvals and who is asked.
type StepView struct {
	approval.Step
	Votes []VoteView
	Open  bool
	Turn  bool   // it is decided now
	Asked []Hand // who may decide it, as far as they did not; the maker is not among them
}

// VoteView is one approval.
type VoteView struct {
	Who       Hand
	For       Hand // whom they stood in for; empty for themselves
	Reason    string
	Basis     approval.Basis
	DecidedAt time.Time
	Edited    bool        // it was about a former content
	Decision  id.Decision // that their issuer confirmed; zero where none was asked
}

// RemarkView is something said about a change, or done about its waiting.
type RemarkView struct {
	Kind       string
	Who        Hand
	Body       string
	RecordedAt time.Time
}

// AttachmentView is a file that belongs to a change.
type AttachmentView struct {
	ID         id.Attachment
	Name       string
	MediaType  string
	SHA256     string
	Bytes      int64
	Who        Hand
	RecordedAt time.Time
}

// RevisionView is one edit.
type RevisionView struct {
	Revision   int
	Digest     string
	Reason     string
	Who        Hand
	RecordedAt time.Time
}

// May is what an actor may do about a change now, and why not.
type May struct {
	Approve  bool
	Reject   bool
	Withdraw bool // it is their own
	Edit     bool
	Remark   bool
	Own      bool   // they proposed it, under whichever account
	Why      string // why not approve, in words for them; empty when they may or it is over
	// For are those for whom they may decide instead; the first is who the form names when
	// they may not for themselves.
	For []StandIn
	// Sole says that approving would be by the only one who may.
	Sole bool
}

// StandIn is somebody for whom an actor may decide.
type StandIn struct {
	Member id.Member
	Name   string
}

// Case shows one change.
func (a *Approvals) Case(ctx context.Context, who Actor, change id.Change) (CaseView, error) {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return CaseView{}, err
	}
	var shown CaseView
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		room, err := a.room(tx)
		if err != nil {
			return err
		}
		view, kind, err := a.visible(tx, room, who, change)
		if err != nil {
			return err
		}
		shown = CaseView{ChangeView: view, Revisable: kind.revisable}
		if kind.sealed != nil {
			if shown.Sealed, err = kind.sealed(tx, view.Change); err != nil {
				return err
			}
		}
		votes, err := tx.Votes(change)
		if err != nil {
			return err
		}
		open, err := room.caseWith(tx, &view, kind, votes)
		if err != nil {
			return err
		}
		if view.Open() {
			shown.May = a.may(tx, room, who, &view, kind, open)
		}
		return a.fill(tx, room, &shown, kind, open, votes)
	})
	return shown, err
}

// visible reads a change an actor may read; "not yours" and "not there" look the same.
func (a *Approvals) visible(tx *db.Tx, room *room, who Actor, change id.Change) (ChangeView, governed, error) {
	row, err := tx.Change(change)
	if err != nil {
		return ChangeView{}, governed{}, err
	}
	kind, ok := a.changes.governed[row.Kind]
	if !ok {
		return ChangeView{}, governed{}, db.ErrChangeAbsent
	}
	views, err := a.views(tx, []db.ChangeRow{row})
	if err != nil {
		return ChangeView{}, governed{}, err
	}
	if !a.sees(room.eyes(who), room.tree, &views[0]) {
		return ChangeView{}, governed{}, db.ErrChangeAbsent
	}
	return views[0], kind, nil
}

// may works out what an actor may do by trying it on the case, in memory.
func (a *Approvals) may(tx *db.Tx, room *room, who Actor, view *ChangeView, kind governed, open *approval.Case) May {
	own := view.Maker == who.ID() || slices.Contains(open.Maker, who.Person)
	m := May{Own: own, Withdraw: own && who.Kind == ActorPerson, Edit: own && kind.revisable, Remark: true}
	if who.Kind != ActorPerson {
		m.Why = ErrNoPerson.Message
		return m
	}
	try := func(verdict approval.Verdict, member id.Member) (approval.Outcome, error) {
		by, proxy, err := room.checker(who, view, kind, open.Maker, member)
		if err != nil {
			return approval.Outcome{}, err
		}
		out, err := open.Decide(by, approval.Ruling{Verdict: verdict, Seen: view.Digest, Reason: "as shown"})
		if err == nil && verdict == approval.VerdictApprove {
			err = a.duty(tx, room, who, proxy)
		}
		return out, err
	}
	out, err := try(approval.VerdictApprove, id.Member{})
	m.Approve, m.Sole = err == nil, out.Basis == approval.BasisSole
	if err != nil {
		m.Why = fault.From(err).Message
	}
	_, err = try(approval.VerdictReject, id.Member{})
	m.Reject = err == nil && !own
	for _, d := range room.proxies(who) {
		if _, err := try(approval.VerdictApprove, d.FromMemberID); err == nil {
			m.For = append(m.For, StandIn{Member: d.FromMemberID})
		}
	}
	if view.Expired(room.now) {
		return May{Own: own, Withdraw: m.Withdraw, Remark: true, Why: ErrExpired.Message}
	}
	return m
}

// duty asks once in a room what conflicts of duty keep an actor from.
func (a *Approvals) duty(tx *db.Tx, room *room, who Actor, proxy db.DelegationRow) error {
	kept, known := room.duties[proxy.DelegationID]
	if !known {
		kept = a.refuseConflicted(tx, who, proxy)
		room.duties[proxy.DelegationID] = kept
	}
	return kept
}

// maxRemarks bounds what is shown of a discussion.
const maxRemarks = 500

// fill adds to a case whose hands were in it.
func (a *Approvals) fill(tx *db.Tx, room *room, shown *CaseView, kind governed, open *approval.Case, votes []db.VoteRow) error {
	remarks, err := tx.Remarks(shown.ID, maxRemarks)
	if err != nil {
		return err
	}
	files, err := tx.Attachments(shown.ID)
	if err != nil {
		return err
	}
	revisions, err := tx.Revisions(shown.ID)
	if err != nil {
		return err
	}
	actors := []string{shown.Maker, shown.Decider}
	for i := range votes {
		actors = append(actors, votes[i].MemberID.String(), votes[i].ForMemberID.String())
	}
	for i := range remarks {
		actors = append(actors, remarks[i].Actor)
	}
	for i := range files {
		actors = append(actors, files[i].Actor)
	}
	for i := range revisions {
		actors = append(actors, revisions[i].Actor)
	}
	asked := room.asked(&shown.ChangeView, kind, open)
	for _, step := range asked {
		for _, m := range step {
			actors = append(actors, m.String())
		}
	}
	for i := range shown.May.For {
		actors = append(actors, shown.May.For[i].Member.String())
	}
	hands, err := a.members.hands(tx, slices.DeleteFunc(actors, func(s string) bool { return s == "" }))
	if err != nil {
		return err
	}
	shown.Made, shown.Ended = hands[shown.Maker], hands[shown.Decider]
	for i := range shown.May.For {
		shown.May.For[i].Name = hands[shown.May.For[i].Member.String()].Name
	}
	confirmed, err := tx.ConfirmedVotes(shown.ID)
	if err != nil {
		return err
	}
	shown.steps(open, votes, asked, hands, confirmed)
	for i := range remarks {
		r := &remarks[i]
		shown.Remarks = append(shown.Remarks, RemarkView{Kind: r.Kind, Who: hands[r.Actor], Body: r.Body, RecordedAt: r.RecordedAt.UTC()})
	}
	for i := range files {
		f := &files[i]
		shown.Attachments = append(shown.Attachments, AttachmentView{
			ID: f.AttachmentID, Name: f.Name, MediaType: f.MediaType, SHA256: hex.EncodeToString(f.SHA256), Bytes: f.Bytes, Who: hands[f.Actor], RecordedAt: f.RecordedAt.UTC(),
		})
	}
	for i := range revisions {
		r := &revisions[i]
		shown.Revisions = append(shown.Revisions, RevisionView{Revision: r.Revision, Digest: hex.EncodeToString(r.Digest), Reason: r.Reason, Who: hands[r.Actor], RecordedAt: r.RecordedAt.UTC()})
	}
	return nil
}

// steps puts approvals where they belong.
func (c *CaseView) steps(open *approval.Case, votes []db.VoteRow, asked [][]id.Member, hands map[string]Hand, confirmed map[id.Vote]id.Decision) {
	undecided, turn := open.Open(), open.Turn()
	for i, step := range c.Terms.Policy.Steps {
		view := StepView{Step: step, Open: slices.Contains(undecided, i), Turn: c.Open() && slices.Contains(turn, i)}
		if c.Open() {
			for _, m := range asked[i] {
				view.Asked = append(view.Asked, hands[m.String()])
			}
		}
		c.Steps = append(c.Steps, view)
	}
	for i := range votes {
		v := &votes[i]
		one := VoteView{
			Who: hands[v.MemberID.String()], For: hands[v.ForMemberID.String()], Reason: v.Reason, Basis: approval.Basis(v.Basis), DecidedAt: v.DecidedAt.UTC(),
			Decision: confirmed[v.VoteID], Edited: hex.EncodeToString(v.Digest) != c.DigestText(),
		}
		if one.Edited || v.Void || v.Step >= len(c.Steps) {
			c.Void = append(c.Void, one)
			continue
		}
		c.Steps[v.Step].Votes = append(c.Steps[v.Step].Votes, one)
	}
}

// asked lists, for each step, the accounts that may decide it and did not decide yet.
func (r *room) asked(view *ChangeView, kind governed, open *approval.Case) [][]id.Member {
	list := make([][]id.Member, len(view.Terms.Policy.Steps))
	for i := range r.accounts {
		one := &r.accounts[i]
		done := slices.ContainsFunc(open.Votes, func(v approval.Vote) bool { return v.Person == one.person || v.For == one.person })
		if done || slices.Contains(open.Maker, one.person) {
			continue
		}
		for _, step := range r.steps(one, view, kind) {
			list[step] = append(list[step], one.member)
		}
	}
	return list
}

// The kinds of remarks a person makes.
const (
	RemarkComment  = "comment"
	RemarkQuestion = "question"
)

const maxRemark = 4000

// sameRemark is how long the same words of the same person are a form that was sent twice.
const sameRemark = time.Minute

// Remark says something about a change, or asks. The same again within a minute is
// said once.
func (a *Approvals) Remark(ctx context.Context, who Actor, change id.Change, kind, body string) error {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	if kind != RemarkComment && kind != RemarkQuestion {
		return fault.Invalid("kind", "remark_kind", "Say whether it is a comment or a question.")
	}
	if body = trimmed(body); body == "" || len(body) > maxRemark {
		return fault.Invalid("body", "remark_length", "Write 1 to %d bytes.", maxRemark)
	}
	return a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		room, err := a.room(tx)
		if err != nil {
			return err
		}
		view, _, err := a.visible(tx, room, who, change)
		if err != nil {
			return err
		}
		if err := tx.LockChange(change); err != nil {
			return err
		}
		said, err := tx.Remarks(change, maxRemarks)
		if err != nil {
			return err
		}
		row := db.RemarkRow{RemarkID: id.NewRemark(tx.Now), Kind: kind, Actor: who.ID(), Body: body}
		if slices.ContainsFunc(said, func(r db.RemarkRow) bool {
			return r.Kind == row.Kind && r.Actor == row.Actor && r.Body == row.Body && tx.Now.Sub(r.RecordedAt) < sameRemark
		}) {
			return nil
		}
		if err := tx.AddRemark(change, row); err != nil {
			return err
		}
		return record(tx, "change.remarked", who, view.Change, map[string]any{"remark": row.RemarkID.String(), "remark_kind": kind, "body": body})
	})
}

// NewAttachment is a file as it is sent.
type NewAttachment struct {
	Name      string
	MediaType string
	Content   []byte
}

const (
	// MaxAttachment bounds one file.
	MaxAttachment  = 5 << 20
	maxAttachments = 10
)

// Attach adds a file to a change that waits. It belongs to what is decided about, so that
// what was decided before does not count any more: only the maker attaches.
func (a *Approvals) Attach(ctx context.Context, who Actor, change id.Change, seen [32]byte, file NewAttachment) (ChangeView, error) {
	name := fileName(file.Name)
	switch {
	case name == "":
		return ChangeView{}, fault.Invalid("file", "attachment_name", "The file has a name of 1 to 200 bytes.")
	case len(file.Content) == 0 || len(file.Content) > MaxAttachment:
		return ChangeView{}, fault.Invalid("file", "attachment_size", "A file has 1 byte to 5 MB.")
	}
	return a.revise(ctx, who, change, seen, func(tx *db.Tx, view *ChangeView, _ governed) (draft, string, error) {
		if len(view.Attachments) >= maxAttachments {
			return draft{}, "", fault.Invalid("file", "attachments_many", "A change has at most %d files.", maxAttachments)
		}
		row := db.AttachmentRow{AttachmentID: id.NewAttachment(tx.Now), Name: name, MediaType: mediaType(file.MediaType), SHA256: digestOf(file.Content), Actor: who.ID()}
		if err := tx.AddAttachment(change, row, file.Content); err != nil {
			return draft{}, "", err
		}
		return draft{payload: rawJSON(view.Payload), effective: view.EffectiveFrom}, view.Reason, nil
	})
}

// Attachment reads a file of a change.
func (a *Approvals) Attachment(ctx context.Context, who Actor, change id.Change, attachment id.Attachment) (AttachmentView, []byte, error) {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return AttachmentView{}, nil, err
	}
	var view AttachmentView
	var content []byte
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		room, err := a.room(tx)
		if err != nil {
			return err
		}
		if _, _, err := a.visible(tx, room, who, change); err != nil {
			return err
		}
		row, body, err := tx.Attachment(change, attachment)
		content = body
		view = AttachmentView{ID: row.AttachmentID, Name: row.Name, MediaType: row.MediaType, SHA256: hex.EncodeToString(row.SHA256), Bytes: row.Bytes, RecordedAt: row.RecordedAt.UTC()}
		return err
	})
	return view, content, err
}
