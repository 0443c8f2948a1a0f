package backup

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"tollbook/app/fault"
)

// Format names the layout of the zip.
const Format = "tollbook backup 1"

// Manifest is what is in a zip.
type Manifest struct {
	Format        string    `json:"format"`
	Name          string    `json:"name"`
	AsOf          time.Time `json:"as_of"` // of every table
	CodeVersion   string    `json:"code_version"`
	SchemaVersion int64     `json:"schema_version"`
	Months        []string  `json:"usage_months"` // each one's first day
	Tables        []Table   `json:"tables"`
	KeyTables     []string  `json:"key_tables"` // whose rows are in the keys' file
	Journals      []Segment `json:"journals"`
	Notes         []string  `json:"notes"`
}

// Table is one table's rows in Postgres's text format for COPY.
type Table struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	File
}

// Segment is one file of a gateway's journal.
type Segment struct {
	Replica string `json:"replica"`
	Name    string `json:"name"`
	File
}

// File is a file of the zip.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

const (
	manifestName = "manifest.json"
	sealName     = "manifest.mac"
	// maxManifest bounds what is read of a manifest: some hundred tables and thousands of segments.
	maxManifest = 16 << 20
)

// SealPurpose names the key, derived from a master key, that seals manifests.
const SealPurpose = "backup-manifest"

// ErrUnsealed refuses a zip whose manifest none of the keys vouches for.
var ErrUnsealed = fault.New(fault.KindInvalid, "backup_unsealed", "The backup's manifest was changed, or its keys are not those of this installation. Nothing of it is used.")

func sealOf(key, manifest []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(manifest)
	return mac.Sum(nil)
}

func readManifest(document, seal []byte, keys [][]byte) (Manifest, error) {
	vouched := false
	for _, key := range keys {
		vouched = vouched || hmac.Equal(seal, sealOf(key, document))
	}
	if !vouched {
		return Manifest{}, ErrUnsealed
	}
	var m Manifest
	if err := json.Unmarshal(document, &m); err != nil {
		return Manifest{}, fmt.Errorf("read the backup's manifest: %w", err)
	}
	if m.Format != Format {
		return Manifest{}, fmt.Errorf("this backup's format is %q; this release reads %q", m.Format, Format)
	}
	for _, f := range m.Journals {
		if path.Base(f.Replica) != f.Replica || path.Base(f.Name) != f.Name {
			return Manifest{}, errors.New("the backup's manifest names a file outside of the journals")
		}
	}
	return m, nil
}

// Rows counts the rows of all tables.
func (m *Manifest) Rows() int64 {
	var n int64
	for i := range m.Tables {
		n += m.Tables[i].Rows
	}
	return n
}
