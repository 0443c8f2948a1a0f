package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/export/packet"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/db"
)

// PacketView is a packet as pages show it.
type PacketView struct {
	ID       id.Packet
	Month    period.Month
	Scope    string // a node's code; empty: the whole company
	Revision int
	State    packet.State
	At       time.Time
	By       Hand
	Record   id.Record
	Manifest string // SHA-256, hexadecimal
	Archive  string // SHA-256, hexadecimal; empty while it is not sealed
	Bytes    int64  // of the archive
	LogSize  int64  // at the head that seals it
	Changes  []packet.Change
	Corrects *packet.Corrected // nil: it takes no final revision's place
	// SupersededBy is the latest revision of the same month and scope; 0: this is it.
	SupersededBy int
	Controls     []export.Pair
	Files        []export.Manifest
	LeftOut      []packet.LeftOut
}

// Since is the revision that changes are told against.
func (v *PacketView) Since() int {
	if v.Corrects != nil {
		return v.Corrects.Revision
	}
	return v.Revision - 1
}

// Sealed tells whether the log covers it, so that it can be downloaded and sent.
func (v *PacketView) Sealed() bool { return v.Archive != "" }

// PacketDelivery is one packet to one recipient, and how it stands.
type PacketDelivery struct {
	ID        id.Delivery
	Packet    id.Packet
	Recipient id.Recipient
	Month     period.Month
	Scope     string
	Revision  int
	Of        packet.State
	Kind      string
	Label     string
	Host      string
	State     notice.State // empty before the first attempt
	Answer    string
	At        time.Time // of the state
	Queued    time.Time
	Tries     int
	Steps     []PacketStep
}

// PacketStep is one thing that was done about a delivery.
type PacketStep struct {
	Round  int
	State  notice.State
	Answer string
	By     Hand
	At     time.Time
}

// PacketQuery chooses packets.
type PacketQuery struct {
	Month  period.Month // zero: all
	Before id.Packet
	Limit  int
}

// PacketPage is packets, the newest first.
type PacketPage struct {
	Packets []PacketView
	Next    id.Packet // Before of the next page; zero: there is none
	Months  []period.Month
	State   period.State // of the month asked for
	Signs   bool         // heads of the log are signed here: without, there are no packets
}

const (
	defaultPackets       = 50
	maxPacketDeliveries  = 200
	maxScopedPacketPages = 20
)

// Packets lists packets that somebody may see.
func (p *Packets) Packets(ctx context.Context, who Actor, q PacketQuery) (PacketPage, error) {
	page := PacketPage{Signs: p.log.Signs()}
	if err := p.access.Check(who, "packet", "read"); err != nil {
		return page, err
	}
	if q.Limit <= 0 || q.Limit > MaxRows {
		q.Limit = defaultPackets
	}
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := p.visible(tx, who, q)
		if err != nil {
			return err
		}
		if len(rows) > q.Limit {
			rows = rows[:q.Limit]
			page.Next = rows[q.Limit-1].PacketID
		}
		if page.Packets, err = p.views(tx, rows); err != nil {
			return err
		}
		if page.Months, err = tx.Months(maxMonths); err != nil {
			return err
		}
		if q.Month != (period.Month{}) {
			page.State, err = tx.PeriodState(q.Month)
		}
		return err
	})
	return page, err
}

// visible reads one more packet than asked for, of those that somebody may see.
func (p *Packets) visible(tx *db.Tx, who Actor, q PacketQuery) ([]db.PacketRow, error) {
	var list []db.PacketRow
	for range maxScopedPacketPages {
		rows, err := tx.Packets(db.PacketFilter{Month: q.Month, Before: q.Before, Limit: q.Limit + 1})
		if err != nil {
			return nil, err
		}
		for i := range rows {
			sees, err := p.sees(tx, who, rows[i].ScopeNodeID)
			if err != nil {
				return nil, err
			}
			if sees {
				list = append(list, rows[i])
			}
		}
		if len(rows) <= q.Limit || len(list) > q.Limit {
			break
		}
		q.Before = rows[len(rows)-1].PacketID
	}
	return list, nil
}

func (p *Packets) views(tx *db.Tx, rows []db.PacketRow) ([]PacketView, error) {
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].Actor)
	}
	hands, err := p.members.hands(tx, actors)
	if err != nil {
		return nil, err
	}
	list := make([]PacketView, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		var m packet.Manifest
		if err := json.Unmarshal(r.Manifest, &m); err != nil {
			return nil, fmt.Errorf("read packet %s: %w", r.PacketID, err)
		}
		list = append(list, PacketView{
			ID: r.PacketID, Month: period.MonthOf(r.Month), Scope: r.ScopeCode, Revision: r.Revision, State: packet.State(r.State), At: r.RecordedAt.UTC(), By: hands[r.Actor], Record: r.RecordID,
			Manifest: hex.EncodeToString(r.ManifestDigest), Archive: hex.EncodeToString(r.ArchiveDigest), Bytes: r.ArchiveBytes, LogSize: r.Size, Changes: m.Changes, Corrects: m.Corrects, Controls: m.Controls, Files: m.Contents,
			LeftOut: m.LeftOut,
		})
		if r.Latest > r.Revision {
			list[i].SupersededBy = r.Latest
		}
	}
	return list, nil
}

var errLinkExpired = fault.New(fault.KindConflict, "packet_link_expired", "This link was for thirty days and leads here no more. The packet is still there: find it on the page of packets.")

// Packet is one packet. Delivery is whose link somebody came by; zero: by none.
func (p *Packets) Packet(ctx context.Context, who Actor, made id.Packet, delivery id.Delivery) (PacketView, error) {
	var view PacketView
	if err := p.access.Check(who, "packet", "read"); err != nil {
		return view, err
	}
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := p.readable(tx, who, made)
		if err != nil {
			return err
		}
		if !delivery.IsZero() && tx.Now.Sub(delivery.Time()) > linkLife {
			return errLinkExpired
		}
		views, err := p.views(tx, []db.PacketRow{row})
		if err == nil {
			view = views[0]
		}
		return err
	})
	return view, err
}

// readable reads a packet that somebody may see; another one looks absent.
func (p *Packets) readable(tx *db.Tx, who Actor, made id.Packet) (db.PacketRow, error) {
	row, err := tx.Packet(made)
	if err != nil {
		return row, err
	}
	sees, err := p.sees(tx, who, row.ScopeNodeID)
	if err == nil && !sees {
		err = db.ErrPacketAbsent
	}
	return row, err
}

var errPacketUnsealed = fault.New(fault.KindConflict, "packet_unsealed", "The log’s signed head does not cover this packet yet: it is sealed within a quarter of an hour.")

// PacketDownload is a packet, or one file of it.
type PacketDownload struct {
	Name    string
	Type    string // media type
	Content []byte
	SHA256  string
}

// Download is a packet as one archive, or one file of it; that it was downloaded is a record.
func (p *Packets) Download(ctx context.Context, who Actor, made id.Packet, file string) (PacketDownload, error) {
	var out PacketDownload
	if err := p.access.Check(who, "packet", "read"); err != nil {
		return out, err
	}
	if err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := p.readable(tx, who, made)
		if err != nil {
			return err
		}
		out, err = p.download(tx, &row, file)
		return err
	}); err != nil {
		return PacketDownload{}, err
	}
	digest := sha256.Sum256(out.Content)
	out.SHA256 = hex.EncodeToString(digest[:])
	return out, p.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "packet.downloaded", Actor: who.ID(), Subject: made.String(), Detail: map[string]any{"file": out.Name, "sha256": out.SHA256}})
	})
}

func (p *Packets) download(tx *db.Tx, row *db.PacketRow, file string) (PacketDownload, error) {
	if file == packet.FileManifest {
		return PacketDownload{Name: packetName(tx, row) + "-" + file, Type: packetType(file), Content: row.Manifest}, nil
	}
	if file != "" {
		files, err := tx.PacketContent(row.PacketID, file)
		if err != nil {
			return PacketDownload{}, err
		}
		if len(files) != 1 {
			return PacketDownload{}, db.ErrPacketAbsent
		}
		return PacketDownload{Name: packetName(tx, row) + "-" + file, Type: packetType(file), Content: files[0].Content}, nil
	}
	seal, sealed, err := tx.PacketSeal(row.PacketID)
	if err != nil {
		return PacketDownload{}, err
	}
	if !sealed {
		return PacketDownload{}, errPacketUnsealed
	}
	archive, err := p.content(tx, row, &seal, CarriesArchive)
	return PacketDownload{Name: archive.Name, Type: "application/zip", Content: archive.Content}, err
}

// packetType is that of a file by its name's end.
func packetType(name string) string {
	switch path.Ext(name) {
	case ".pdf":
		return "application/pdf"
	case ".xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".json":
		return "application/json"
	case ".txt", ".md":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// Deliveries lists what was sent to whom, the newest first, of a packet or of a month.
func (p *Packets) Deliveries(ctx context.Context, who Actor, made id.Packet, month period.Month) ([]PacketDelivery, error) {
	if err := p.access.Check(who, "recipient", "read"); err != nil {
		return nil, err
	}
	var list []PacketDelivery
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.PacketDeliveries(db.PacketDeliveryFilter{Packet: made, Month: month, Limit: maxPacketDeliveries})
		if err != nil {
			return err
		}
		for i := range rows {
			one, err := p.delivery(tx, &rows[i])
			if err != nil {
				return err
			}
			list = append(list, one)
		}
		return nil
	})
	return list, err
}

func (p *Packets) delivery(tx *db.Tx, r *db.PacketDeliveryRow) (PacketDelivery, error) {
	one := PacketDelivery{
		ID: r.DeliveryID, Packet: r.PacketID, Recipient: r.RecipientID, Month: period.MonthOf(r.Month), Scope: r.ScopeCode, Revision: r.Revision, Of: packet.State(r.PacketState), Kind: r.Kind, Label: r.Label, Host: r.Host,
		State: notice.State(r.State), Answer: r.Answer, At: r.StateAt.UTC(), Queued: r.RecordedAt.UTC(), Tries: r.Tries,
	}
	steps, err := tx.PacketSteps(r.DeliveryID)
	if err != nil {
		return one, err
	}
	actors := make([]string, 0, len(steps))
	for i := range steps {
		actors = append(actors, steps[i].Actor)
	}
	hands, err := p.members.hands(tx, actors)
	for i := range steps {
		one.Steps = append(one.Steps, PacketStep{Round: steps[i].Round, State: notice.State(steps[i].State), Answer: steps[i].Answer, By: hands[steps[i].Actor], At: steps[i].RecordedAt.UTC()})
	}
	return one, err
}

// PacketAsk is what came of an ask for a packet.
type PacketAsk struct {
	Month  period.Month
	At     time.Time
	Ended  bool
	Packet id.Packet // zero: it failed, or has not ended
	Fresh  bool      // false: no figure had changed
	Why    string    // it failed
}

// Asked tells what came of an ask.
func (p *Packets) Asked(ctx context.Context, who Actor, record id.Record) (PacketAsk, error) {
	var out PacketAsk
	if err := p.access.Check(who, "packet", "propose"); err != nil {
		return out, err
	}
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.PacketAsk(record)
		if err != nil {
			return err
		}
		if !found {
			return errNoRecord
		}
		out = PacketAsk{Month: period.MonthOf(row.Month), At: row.RecordedAt.UTC(), Ended: row.Ended, Fresh: row.Fresh, Why: row.Why}
		if row.PacketID != nil {
			out.Packet = *row.PacketID
		}
		return nil
	})
	return out, err
}

func lower(state string) string { return strings.ToLower(state) }
