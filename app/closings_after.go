package app

import (
	"crypto/sha256"
	"encoding/hex"

	"tollbook/app/closing"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/db"
)

// laterFacts adds what the steps rest on that are asked for between locking and closing.
func laterFacts(tx *db.Tx, m period.Month, facts map[closing.Step]closing.Facts) error {
	exported, err := monthExported(tx, m)
	if err != nil {
		return err
	}
	recipients, err := monthRecipients(tx, m)
	if err != nil {
		return err
	}
	for _, f := range []closing.Facts{closing.ExportFacts(exported), closing.PacketFacts(recipients)} {
		facts[f.Step] = f
	}
	return nil
}

// monthExported is what became of a month's journal in every system that takes it.
func monthExported(tx *db.Tx, m period.Month) (*closing.Exported, error) {
	mappings, err := tx.AccountMappings()
	if err != nil {
		return nil, err
	}
	exports, err := tx.Exports(m, maxExportsOfMonth)
	if err != nil {
		return nil, err
	}
	x, h := &closing.Exported{}, sha256.New()
	for i := range mappings {
		if !mappings[i].InUse {
			continue
		}
		s := closing.System{Name: mappings[i].System}
		if s.Unexported, err = tx.Unexported(s.Name, m); err != nil {
			return nil, err
		}
		for k := range exports {
			if r := &exports[k]; r.System == s.Name && !r.Draft && r.SupersededBy == nil {
				s.Documents, s.Acknowledged = s.Documents+r.Documents, s.Acknowledged+r.Acknowledged
				_, _ = h.Write(r.Digest)
			}
		}
		said, err := tx.Acknowledgments(s.Name, m)
		if err != nil {
			return nil, err
		}
		for k := range said {
			_, _ = h.Write([]byte(said[k].Document + "\x1f" + said[k].ErpID + "\x1e"))
		}
		tie, err := tieOut(tx, s.Name, m)
		if err != nil {
			return nil, err
		}
		s.Imported, s.Findings = len(tie.Imports) > 0, len(tie.Findings)
		x.Systems = append(x.Systems, s)
	}
	x.Digest = hex.EncodeToString(h.Sum(nil))
	return x, nil
}

// monthRecipients is how the final packet stands with everybody who is due it: who was a
// recipient of final packets when the month was locked, and still is.
func monthRecipients(tx *db.Tx, m period.Month) ([]closing.Recipient, error) {
	locked, found, err := tx.LockedAt(m)
	if err != nil || !found {
		return nil, err
	}
	rows, err := tx.Recipients(maxRecipientsList)
	if err != nil {
		return nil, err
	}
	var list []closing.Recipient
	for i := range rows {
		r := &rows[i]
		if !r.Live || !r.Final || r.LiveAt == nil || r.LiveAt.After(locked) {
			continue
		}
		sent, err := tx.PacketDeliveries(db.PacketDeliveryFilter{Recipient: r.RecipientID, Month: m, Limit: 1})
		if err != nil {
			return nil, err
		}
		one := closing.Recipient{Label: r.Label}
		if len(sent) > 0 && sent[0].PacketState == "FINAL" && !sent[0].RecordedAt.Before(locked) {
			one.State = sent[0].State
			one.Delivered = one.State == string(notice.Accepted)
			if one.State == "" {
				one.State = string(notice.Queued)
			}
		}
		list = append(list, one)
	}
	return list, nil
}
