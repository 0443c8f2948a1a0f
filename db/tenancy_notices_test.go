package db_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/db"
)

// notices puts a row into every table of what is told.
func (s *scene) notices(t *testing.T, tx *db.Tx) {
	t.Helper()
	s.channel = id.NewChannel(tx.Now)
	require.NoError(t, tx.AddChannel(s.system(s.channel)))
	ended, err := tx.EndChannel(s.channel, s.change.ID)
	require.NoError(t, err)
	require.True(t, ended)
	ended, err = tx.EndChannel(s.channel, s.change.ID)
	require.NoError(t, err)
	require.False(t, ended, "once")
	require.NoError(t, tx.SetMutes(id.NewVersion(tx.Now), s.person, "asked", s.change.ID))
	due := s.message(tx, s.mark("message"))
	s.delivery = due.DeliveryID
	added, err := tx.AddDelivery(due)
	require.NoError(t, err)
	require.True(t, added)
	again := s.message(tx, s.mark("message"))
	added, err = tx.AddDelivery(again)
	require.NoError(t, err)
	require.False(t, added, "the same content is due once")
	stored, err := tx.AddNoticeStep(s.delivery, s.step(1))
	require.NoError(t, err)
	require.True(t, stored)
	stored, err = tx.AddNoticeStep(s.delivery, s.step(1))
	require.NoError(t, err)
	require.False(t, stored, "a place is taken once")
}

func (s *scene) system(channel id.Channel) *db.ChannelRow {
	return &db.ChannelRow{ChannelID: channel, Kind: "slack", Label: s.mark("channel"), Host: s.mark("host"), URLSealed: []byte("sealed"), ChangeID: s.change.ID}
}

func (s *scene) message(tx *db.Tx, content string) *db.DeliveryRow {
	digest := sha256.Sum256([]byte(content))
	return &db.DeliveryRow{
		DeliveryID: id.NewDelivery(tx.Now), RecordID: s.batch.Record, ChangeID: s.change.ID, Channel: "mail", Purpose: "asked", MemberID: s.member,
		Content: []byte(content), ContentSHA256: digest[:],
	}
}

func (s *scene) step(place int) db.NoticeStepRow {
	return db.NoticeStepRow{Place: place, Round: 1, State: "failed", Answer: s.mark("answer"), Actor: "system"}
}

// readingNotices is every query that reads what is told.
func readingNotices() map[string]query {
	return map[string]query{
		"Channels": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Channels(500)
			return text(rows), err
		}},
		"Delivery": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, err := tx.Delivery(theirs.delivery)
			return row.Content, err
		}},
		"NoticeSteps": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.NoticeSteps(theirs.delivery) }},
		"Deliveries": {own, func(tx *db.Tx, _, _ *scene) (any, error) {
			rows, err := tx.Deliveries(db.DeliveryFilter{Limit: 500})
			return text(rows), err
		}},
		"ToldSince": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.ToldSince(theirs.change.ID, "asked", tx.Now.AddDate(-1, 0, 0))
		}},
		"Mutes": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			found, err := tx.Mutes(theirs.person)
			return len(found), err
		}},
	}
}

// writingNotices is every query that writes what is told.
func writingNotices() map[string]query {
	return map[string]query{
		"LockChannels": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockChannels()) }},
		"AddChannel": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddChannel(theirs.system(id.NewChannel(tx.Now))))
		}},
		"EndChannel": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return tx.EndChannel(theirs.channel, mine.change.ID)
		}},
		"SetMutes": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.SetMutes(id.NewVersion(tx.Now), theirs.person, "", mine.change.ID))
		}},
		"AddDelivery": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.AddDelivery(theirs.message(tx, "another"))
		}},
		"AddNoticeStep": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return tx.AddNoticeStep(theirs.delivery, theirs.step(2))
		}},
	}
}
