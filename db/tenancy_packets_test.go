package db_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/db"
)

// packetRow is a packet of the scene's month and node.
func (s *scene) packetRow(tx *db.Tx, revision int) *db.PacketRow {
	digest := sha256.Sum256([]byte(s.mark("manifest")))
	return &db.PacketRow{
		PacketID: id.NewPacket(tx.Now), Month: s.month.Start(), ScopeNodeID: &s.node, ScopeCode: s.mark("code"), Revision: revision, State: "DRAFT", FiguresDigest: digest[:], Manifest: []byte(s.mark("manifest")),
		ManifestDigest: digest[:], Snapshot: []byte(s.mark("snapshot")), RecordID: id.NewRecord(tx.Now), Actor: "system",
	}
}

func (s *scene) recipientRow(tx *db.Tx) *db.RecipientRow {
	return &db.RecipientRow{
		RecipientID: id.NewRecipient(tx.Now), Kind: "mail", Label: s.mark("recipient"), Host: s.mark("host"), AddressSealed: []byte(s.mark("address")), Carries: "archive", Final: true, ChangeID: s.change.ID,
	}
}

func (s *scene) packets(t *testing.T, tx *db.Tx) {
	t.Helper()
	row := s.packetRow(tx, 1)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: row.RecordID, Action: "packet.built", Actor: "system"}))
	digest := sha256.Sum256([]byte(s.mark("file")))
	require.NoError(t, tx.AddPacket(row, []db.PacketFileRow{{Name: "summary.pdf", Content: []byte(s.mark("file")), ContentDigest: digest[:]}}))
	_, err := tx.SealPacket(row.PacketID, &db.PacketSealRow{Record: []byte(s.mark("record")), Proof: []byte(s.mark("proof")), Checkpoint: []byte(s.mark("head")), Size: 1, Keys: []byte("[]"), ArchiveDigest: digest[:], ArchiveBytes: 1})
	require.NoError(t, err)
	recipient := s.recipientRow(tx)
	require.NoError(t, tx.AddRecipient(recipient))
	delivery := &db.PacketDeliveryRow{DeliveryID: id.NewDelivery(tx.Now), PacketID: row.PacketID, RecipientID: recipient.RecipientID, ContentDigest: digest[:]}
	_, err = tx.AddPacketDelivery(delivery)
	require.NoError(t, err)
	_, err = tx.AddPacketStep(delivery.DeliveryID, db.NoticeStepRow{Place: 1, Round: 1, State: "attempted", Answer: s.mark("answer"), Actor: "system"})
	require.NoError(t, err)
	require.NoError(t, tx.AddPacketAsk(&db.PacketAskRow{RecordID: row.RecordID, Month: s.month.Start(), Actor: s.mark("actor")}))
	s.packet, s.packetAsk, s.recipient, s.packetDelivery = row.PacketID, row.RecordID, recipient.RecipientID, delivery.DeliveryID
}

func readingPackets() map[string]query {
	return map[string]query{
		"Packet": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.Packet(theirs.packet)
			if errors.Is(err, db.ErrPacketAbsent) {
				return nil, nil
			}
			return nil, errors.Join(errors.New("another's packet"), err)
		}},
		"LastPacket": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			_, found, err := tx.LastPacket(mine.month, &theirs.node)
			if found {
				err = errors.Join(errors.New("another's packet"), err)
			}
			return nil, err
		}},
		"LastFinalPacket": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			_, found, err := tx.LastFinalPacket(mine.month, &theirs.node, tx.Now.Add(time.Hour))
			if found {
				err = errors.Join(errors.New("another's packet"), err)
			}
			return nil, err
		}},
		"Signers":     {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.Signers(mine.shut(), 50) }},
		"MoveNumbers": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.MoveNumbers(mine.shut(), 50) }},
		"Packets": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Packets(db.PacketFilter{Limit: 50})
			return text(rows), err
		}},
		"PacketFiles":   {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.PacketFiles(theirs.packet) }},
		"PacketContent": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.PacketContent(theirs.packet, "") }},
		"PacketSeal": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.PacketSeal(theirs.packet)
			if found {
				err = errors.Join(errors.New("another's seal"), err)
			}
			return nil, err
		}},
		"PlacementDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) { return tx.PlacementDays(mine.month, nil) }},
		"Decided": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.Decided([]string{theirs.change.Kind}, time.Time{}, tx.Now.Add(time.Hour), theirs.change.ID, 50)
		}},
		"Recipients":     {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.Recipients(50); return text(rows), err }},
		"LiveRecipients": {own, func(tx *db.Tx, _, _ *scene) (any, error) { rows, err := tx.LiveRecipients(50); return text(rows), err }},
		"Recipient": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.Recipient(theirs.recipient)
			if found {
				err = errors.Join(errors.New("another's recipient"), err)
			}
			return nil, err
		}},
		"PacketDeliveries": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			return tx.PacketDeliveries(db.PacketDeliveryFilter{Limit: 50})
		}},
		"PacketSteps": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.PacketSteps(theirs.packetDelivery) }},
		"PacketAsk": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, found, err := tx.PacketAsk(theirs.packetAsk)
			if found {
				err = errors.Join(errors.New("another's ask"), err)
			}
			return nil, err
		}},
		"LockedAt": {absent, func(tx *db.Tx, mine, _ *scene) (any, error) {
			_, found, err := tx.LockedAt(mine.month)
			if found {
				err = errors.Join(errors.New("another's month"), err)
			}
			return nil, err
		}},
	}
}

func writingPackets() map[string]query {
	return map[string]query{
		"LockPackets":    {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockPackets()) }},
		"LockRecipients": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockRecipients()) }},
		"AddPacket": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			row := mine.packetRow(tx, 2)
			row.ScopeNodeID = &theirs.node
			if err := tx.AppendAudit(auditlog.Record{ID: row.RecordID, Action: "packet.built", Actor: "system"}); err != nil {
				return nil, err
			}
			return onlyError(tx.AddPacket(row, nil))
		}},
		"SealPacket": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			digest := sha256.Sum256(nil)
			_, err := tx.SealPacket(theirs.packet, &db.PacketSealRow{Record: []byte("r"), Proof: []byte("p"), Checkpoint: []byte("c"), Size: 1, Keys: []byte("[]"), ArchiveDigest: digest[:], ArchiveBytes: 1})
			return onlyError(err)
		}},
		"AddRecipient": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			row := mine.recipientRow(tx)
			row.ChangeID = theirs.change.ID
			return onlyError(tx.AddRecipient(row))
		}},
		"EndRecipient": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			_, err := tx.EndRecipient(theirs.recipient, mine.change.ID)
			return onlyError(err)
		}},
		"AddPacketDelivery": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			digest := sha256.Sum256([]byte("another"))
			_, err := tx.AddPacketDelivery(&db.PacketDeliveryRow{DeliveryID: id.NewDelivery(tx.Now), PacketID: theirs.packet, RecipientID: mine.recipient, ContentDigest: digest[:]})
			return onlyError(err)
		}},
		"AddPacketStep": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.AddPacketStep(theirs.packetDelivery, db.NoticeStepRow{Place: 2, Round: 1, State: "accepted", Actor: "system"})
			return onlyError(err)
		}},
		"AddPacketAsk": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddPacketAsk(&db.PacketAskRow{RecordID: theirs.packetAsk, Month: mine.month.Start(), Actor: "system"}))
		}},
		"EndPacketAsk": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			_, err := tx.EndPacketAsk(&db.PacketAskRow{RecordID: theirs.packetAsk, Why: "x"})
			return onlyError(err)
		}},
	}
}
