package app

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// offboardingKind tells the funnel of a company's end: two persons, always.
func offboardingKind(changes *Changes) governed {
	return governed{
		checks: "finance", floor: approval.FloorPair, lock: (*db.Tx).LockOffboarding, draft: draftOffboarding, impact: offboardingImpact,
		apply: func(tx *db.Tx, c approval.Change) error { return applyOffboarding(tx, changes, c) },
	}
}

// offboardingAsk is what a maker sends: the company's short name, typed again, and the digest
// of the export that was handed over; without one, the newest.
type offboardingAsk struct {
	Slug   string `json:"slug"`
	Export string `json:"export,omitempty"`
}

// offboardingPayload is what a change says; the database reads the export's digest.
type offboardingPayload struct {
	Slug   string    `json:"slug"`
	Export string    `json:"export"` // SHA-256 of its manifest
	AsOf   time.Time `json:"export_as_of"`
}

// AskOffboarding is the proposal that the actor's company is let go. Its short name is typed
// again; the export is named by its manifest's digest, empty for the newest.
func AskOffboarding(slug, export, reason string) Ask {
	return ask(changeOffboarding, reason, offboardingAsk{Slug: slug, Export: export})
}

func draftOffboarding(tx *db.Tx, who Actor, payload []byte, _ time.Time) (draft, error) {
	var asked offboardingAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if err := notGone(tx, changeOffboarding); err != nil {
		return draft{}, err
	}
	row, err := tx.TenantRow()
	if err != nil {
		return draft{}, err
	}
	if asked.Slug != row.Slug {
		return draft{}, fault.Invalid("slug", "offboarding_slug", "Type the company's short name, %s, to say that it is this one.", row.Slug)
	}
	if who.Kind == ActorCommand && row.SuspendedAt == nil {
		return draft{}, fault.New(fault.KindConflict, "offboarding_active", "The command line proposes this for a suspended company alone: of one that is active, an owner does.")
	}
	if _, number, waits, err := tx.OffboardingWaits(); err != nil || waits {
		if err == nil {
			err = fault.New(fault.KindConflict, "offboarding_waits", fmt.Sprintf("Change %d proposes it already and waits: decide about it, or withdraw it.", number))
		}
		return draft{}, err
	}
	if err := unheld(tx); err != nil {
		return draft{}, err
	}
	seen, err := exportNamed(tx, asked.Export)
	if err != nil {
		return draft{}, err
	}
	return draft{payload: offboardingPayload{Slug: row.Slug, Export: seen.SHA256, AsOf: seen.AsOf}}, nil
}

// unheld refuses while a legal hold stands, and says which.
func unheld(tx *db.Tx) error {
	holds, err := holdsInForce(tx)
	if err != nil || len(holds) == 0 {
		return err
	}
	var words []string
	for i := range holds {
		h := &holds[i]
		over := holdAsk{}
		if !h.Everything() {
			over = holdAsk{First: h.First.String(), Last: h.Last.String()}
		}
		if words = append(words, fmt.Sprintf("that of Change %d on %s", h.Number, over.words())); len(words) == 3 && len(holds) > 3 {
			words = append(words, fmt.Sprintf("%d more", len(holds)-3))
			break
		}
	}
	return fault.New(fault.KindConflict, "offboarding_held", "A legal hold stands: "+strings.Join(words, ", ")+". It has to be ended first, by a change that two persons decide.")
}

// exportNamed finds an export that holds everything, by its digest or the newest.
func exportNamed(tx *db.Tx, digest string) (*ExportSeen, error) {
	row, found, err := tx.LastTenantExport()
	if digest != "" && err == nil {
		raw, wrong := hex.DecodeString(digest)
		if wrong != nil || len(raw) != 32 {
			return nil, fault.Invalid("export", "tenant_export_absent", "The export is named by the SHA-256 of its manifest, 64 hexadecimal digits.")
		}
		row, found, err = tx.TenantExport(raw)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.Invalid("export", "tenant_export_absent", "No such export of everything was finished. Whoever runs this installation makes one with: tollbook tenant export.")
	}
	seen, err := exportOf(tx, &row)
	if err == nil && !seen.Whole() {
		err = fault.Invalid("export", "tenant_export_stale", "After the export of %s came %d batches of requests, %d of adjustments, %d journal entries and %d invoices: it does not hold everything. Export again.",
			seen.AsOf.Format("2006-01-02 15:04 UTC"), seen.Batches, seen.Adjustments, seen.Entries, seen.Invoices)
	}
	return seen, err
}

var errOffboardingBusy = fault.New(fault.KindConflict, "offboarding_busy", "Something of the company is being changed at this instant. Decide again in a moment.")

// maxWithdrawn bounds the proposals that are withdrawn in one go; there is another until none
// is left.
const maxWithdrawn = 500

func applyOffboarding(tx *db.Tx, changes *Changes, c approval.Change) error {
	var p offboardingPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	if last, err := tx.LastToChange(); err != nil || !last {
		return cmp.Or(err, error(errOffboardingBusy))
	}
	if err := unheld(tx); err != nil {
		return err
	}
	if _, err := exportNamed(tx, p.Export); err != nil {
		return errOvertaken("tenant_export_stale", fault.From(err).Message)
	}
	withdrawn, err := withdrawAll(tx, changes, c)
	if err != nil {
		return err
	}
	suspended, err := tx.Suspended()
	if err == nil && !suspended { // what reads nothing of offboarding finds it closed
		err = tx.SetTenantState(id.NewVersion(tx.Now), db.TenantSuspended, c.ID)
	}
	if err != nil {
		return err
	}
	if err := tx.Offboard(c.ID); err != nil {
		return err
	}
	ended, err := tx.EndEverything(c.ID)
	if err != nil {
		return err
	}
	detail := map[string]any{"change": c.ID.String(), "number": c.Number, "manifest_sha256": p.Export, "proposals": withdrawn}
	for i := range ended {
		detail[ended[i].What] = len(ended[i].IDs)
		if err := recordEnded(tx, c, &ended[i]); err != nil {
			return err
		}
	}
	return tx.AppendAudit(auditlog.Record{Action: "tenant.offboarded", Actor: string(ActorSystem), Subject: tx.Tenant.String(), Detail: detail})
}

// withdrawAll takes back every proposal that waits.
func withdrawAll(tx *db.Tx, changes *Changes, c approval.Change) (int, error) {
	n := 0
	for {
		rows, err := tx.WaitingAnyhow(maxWithdrawn)
		if err != nil || len(rows) == 0 {
			return n, err
		}
		for i := range rows {
			view, err := changeOf(tx, rows[i].ChangeID)
			if err != nil {
				return n, err
			}
			if !view.Open() { // decided while this waited
				continue
			}
			if err := changes.withdraw(tx, System(tx.Tenant), view.Change, fmt.Sprintf("the company was offboarded by change %d", c.Number)); err != nil {
				return n, err
			}
			n++
		}
	}
}

// maxEndedListed bounds the ids of one record.
const maxEndedListed = 500

// recordEnded records each that ended, by its id.
func recordEnded(tx *db.Tx, c approval.Change, ended *db.Ended) error {
	for rest := ended.IDs; len(rest) > 0; {
		n := min(len(rest), maxEndedListed)
		record := auditlog.Record{Action: "offboarding.ended", Actor: string(ActorSystem), Subject: c.ID.String(), Detail: map[string]any{"what": ended.What, "ids": rest[:n]}}
		if err := tx.AppendAudit(record); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func offboardingImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p offboardingPayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	has, err := tx.Holdings()
	if err != nil {
		return approval.Impact{}, err
	}
	left, err := remains(tx, tx.Now)
	if err != nil {
		return approval.Impact{}, err
	}
	var ends, kept []string
	for _, one := range []struct {
		n    int64
		what string
	}{
		{has.Keys, "virtual key"}, {has.Tokens, "API token"}, {has.Sessions, "session"}, {has.Logins, "command-line login"}, {has.Delegations, "delegation"},
		{has.Rights, "right"}, {has.Invitations, "invitation"}, {has.Channels, "channel"},
	} {
		if one.n > 0 {
			ends = append(ends, counted(one.n, one.what))
		}
	}
	for i := range left.Classes {
		one := &left.Classes[i]
		words := ClassWords(one.Class) + " from " + one.First.Format(time.DateOnly)
		if one.Last.After(one.First) {
			words += " to " + one.Last.Format(time.DateOnly)
		}
		if one.Months > 0 {
			kept = append(kept, words)
		}
	}
	others := max(has.Waiting-1, 0) // without this one
	return approval.Impact{Keys: int(has.Keys), Sentence: fmt.Sprintf(
		"%s ends here for good, and there is no way back: a new company needs another short name. At once end %s; %s withdrawn and the provider's credential destroyed. "+
			"Kept are %s and %s. Terms run from now where books are open, and what was kept for its term is purged without another decision: %s; then all that remains, but for tombstones and the digests of the log. "+
			"What was handed over is the export of %s.",
		p.Slug, strings.Join(ends, ", "), counted(others, "other proposal"), counted(has.Requests, "request"), counted(has.Records, "audit record"), strings.Join(kept, "; "),
		p.AsOf.Format("2006-01-02 15:04 UTC"))}, nil
}

// counted is a number of things, in words.
func counted(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + one + "s"
}
