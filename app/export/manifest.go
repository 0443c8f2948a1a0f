package export

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"tollbook/app/fault"
)

// Format names the layout of a manifest.
const Format = "tollbook manifest 1"

// Pair is a named value: a filter, or a control total.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// RunBy is who ran a report.
type RunBy struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Roles string `json:"roles"`
}

// Sequence is the range of the audit log that was there when the report ran.
type Sequence struct {
	First   int64 `json:"first"`
	Last    int64 `json:"last"`    // -1: nothing had its place yet
	Waiting int64 `json:"waiting"` // records that had none
}

// Manifest is what is known of one file.
type Manifest struct {
	Format        string    `json:"format"`
	Report        string    `json:"report"`
	ReportVersion int       `json:"report_version"`
	CodeVersion   string    `json:"code_version"`
	Tenant        string    `json:"tenant"`
	TenantID      string    `json:"tenant_id"`
	Filters       []Pair    `json:"filters"`
	AsOf          time.Time `json:"as_of"`
	KnownAt       time.Time `json:"known_at"`
	RunBy         RunBy     `json:"run_by"`
	RunAt         time.Time `json:"run_at"`
	Columns       []string  `json:"columns"`
	Rows          int       `json:"rows"`
	ControlTotals []Pair    `json:"control_totals"`
	AuditSequence Sequence  `json:"audit_sequence"`
	File          string    `json:"file"`
	Bytes         int       `json:"bytes"`
	SHA256        string    `json:"sha256"`
}

// Of completes a manifest for the bytes of its file.
func (m Manifest) Of(file []byte) Manifest {
	digest := sha256.Sum256(file)
	m.Format, m.Bytes, m.SHA256 = Format, len(file), hex.EncodeToString(digest[:])
	m.AsOf, m.KnownAt, m.RunAt = m.AsOf.UTC(), m.KnownAt.UTC(), m.RunAt.UTC()
	if m.Filters == nil {
		m.Filters = []Pair{}
	}
	if m.ControlTotals == nil {
		m.ControlTotals = []Pair{}
	}
	return m
}

// JSON is the manifest as bytes, on one line.
func (m Manifest) JSON() ([]byte, error) {
	document, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(document, '\n'), nil
}

// ErrManifest reports a file that is not the one a manifest is about.
var ErrManifest = fault.New(fault.KindConflict, "manifest_mismatch", "The file is not the one the manifest is about.")

// Verify reads a manifest and holds a file to it.
func Verify(document, file []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(document, &m); err != nil || m.Format != Format {
		return Manifest{}, ErrManifest.Because(err)
	}
	if again := m.Of(file); again.SHA256 != m.SHA256 || again.Bytes != m.Bytes {
		return Manifest{}, ErrManifest
	}
	return m, nil
}

// Suffix is what a file's manifest is called after it.
const Suffix = ".manifest.json"

// Archive holds a file and its manifest.
func Archive(m Manifest, file []byte) ([]byte, error) {
	document, err := m.JSON()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, part := range []struct {
		name    string
		content []byte
	}{{m.File, file}, {m.File + Suffix, document}} {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Deflate, Modified: m.RunAt})
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", part.name, err)
		}
		if _, err := io.Copy(entry, bytes.NewReader(part.content)); err != nil {
			return nil, fmt.Errorf("archive %s: %w", part.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive %s: %w", m.File, err)
	}
	return out.Bytes(), nil
}
