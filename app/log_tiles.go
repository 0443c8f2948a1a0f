package app

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/db"
)

// LogTile is one file of a log as C2SP's tlog-tiles lays it out.
type LogTile struct {
	Bytes []byte
	Text  bool // a signed head; otherwise hashes or entries
	Whole bool // it never changes: there is no more to come into it
}

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

var (
	errNoTile     = fault.New(fault.KindNotFound, "tile_absent", "There is no such tile under the log’s signed head.")
	errLargeEntry = fault.New(fault.KindNotFound, "tile_entry_large", "A record of this tile is larger than an entry can be there (65,535 bytes): its own page has its bytes.")
)

// Tile reads a file of the log by its path below the log's origin: checkpoint, or a tile of
// hashes or entries, as far as the newest signed head covers them. A log of another company
// is not there.
func (l *Log) Tile(ctx context.Context, who Actor, origin, path string) (LogTile, error) {
	var tile LogTile
	if err := l.access.Check(who, "audit", "read"); err != nil {
		return tile, err
	}
	if origin != auditlog.Origin(who.Tenant) {
		return tile, errNoTile
	}
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LimitStatements(readLimit); err != nil {
			return err
		}
		heads, err := tx.Checkpoints(maxSize, 1)
		if err != nil {
			return err
		}
		if len(heads) == 0 {
			return errNoTile
		}
		if path == "checkpoint" {
			tile = LogTile{Bytes: heads[0].Message, Text: true}
			return nil
		}
		at, err := parseTile(path, heads[0].Size)
		if err != nil {
			return err
		}
		tile.Whole = at.W == tileWidth
		if at.L < 0 {
			tile.Bytes, err = entriesOf(tx, at)
		} else {
			tile.Bytes, err = tlog.ReadTileData(at, auditlog.Nodes(tx.LogNodes))
		}
		return err
	})
	return tile, err
}

// parseTile reads a tile's path, without the height that tlog writes and C2SP leaves out,
// and refuses one that a log of a size does not have.
func parseTile(path string, size int64) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if entries, of := strings.CutPrefix(rest, "entries/"); of {
		rest = "data/" + entries
	} else if strings.HasPrefix(rest, "data/") {
		ok = false
	}
	at, err := tlog.ParseTilePath("tile/8/" + rest)
	if !ok || err != nil || at.L > 7 || at.N > math.MaxInt32 {
		return at, errNoTile
	}
	level := max(at.L, 0)
	if at.N<<tileHeight+int64(at.W) > size>>(tileHeight*level) {
		return at, errNoTile
	}
	return at, nil
}

// entriesOf are records' bytes, each behind its length.
func entriesOf(tx *db.Tx, at tlog.Tile) ([]byte, error) {
	rows, err := tx.Log(at.N<<tileHeight, at.W)
	if err != nil {
		return nil, err
	}
	if len(rows) != at.W {
		return nil, errNoTile
	}
	var out []byte
	for i := range rows {
		if len(rows[i].Canonical) > math.MaxUint16 {
			return nil, errLargeEntry
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(rows[i].Canonical))) // bounded above
		out = append(out, rows[i].Canonical...)
	}
	return out, nil
}

// Pulse is a mark that changes when the log's page would: a record, a head, what a witness
// saw. It says nothing about them.
func (l *Log) Pulse(ctx context.Context, who Actor) (string, error) {
	if err := l.access.Check(who, "audit", "read"); err != nil {
		return "", err
	}
	mark := ""
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		size, err := tx.LogSize()
		if err != nil {
			return err
		}
		waiting, err := tx.PendingAudit()
		if err != nil {
			return err
		}
		heads, err := tx.Checkpoints(maxSize, 1)
		if err != nil {
			return err
		}
		mark = fmt.Sprint(size, waiting)
		if len(heads) > 0 {
			mark += heads[0].RecordedAt.String()
		}
		seen := []string{mark}
		for _, name := range l.Witnesses() {
			asked, _, err := tx.LastAsked(name)
			if err != nil {
				return err
			}
			seen = append(seen, asked.RecordedAt.String())
		}
		mark = strings.Join(seen, " ")
		return nil
	})
	return mark, err
}
