package app_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// TestAnExportIsAllOfOneTenant fills two companies, exports one, and reads the archive as
// whoever receives it would.
func TestAnExportIsAllOfOneTenant(t *testing.T) {
	t.Parallel()
	h := build(t)
	for _, c := range []*company{h.one, h.two} {
		require.NoError(t, h.tenants.SetUpstream(t.Context(), c.who, "https://"+c.slug+".provider.test", secret.NewText("sk-ant-"+c.slug), "quoted \"reason\", with\nlines"))
		h.member(t, c, app.RoleTenantOwner, "")
		for day := range 5 {
			h.flush(t, c, c.event(november(day+1), "CC-1"), c.event(november(day+1).Add(time.Hour), "CC-2"))
		}
	}
	_, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	before := h.number(t, `select count(*) from audit_record where tenant_id = $1`, h.two.tenant)

	var file bytes.Buffer
	made, err := h.tenants.Export(t.Context(), h.one.who, "v1.2.3", &file)
	require.NoError(t, err)
	archive, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	require.NoError(t, err)
	contents := map[string][]byte{}
	for _, f := range archive.File {
		r, err := f.Open()
		require.NoError(t, err)
		contents[f.Name], err = io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	var manifest app.TenantExport
	require.NoError(t, json.Unmarshal(contents["manifest.json"], &manifest))
	require.Equal(t, made, manifest)
	require.Len(t, contents, len(manifest.Files)+1)
	require.Equal(t, []any{"one", h.one.tenant, "Company one", "v1.2.3", "command"}, []any{manifest.Tenant, manifest.TenantID, manifest.Name, manifest.CodeVersion, manifest.RunBy})
	require.Equal(t, h.number(t, `select max(version_id) from goose_db_version`), manifest.SchemaVersion)
	require.Equal(t, h.number(t, `select max(sequence) from audit_leaf where tenant_id = $1`, h.one.tenant), manifest.AuditLast)

	var total int64
	for _, f := range manifest.Files {
		content := contents[f.Name]
		sum := sha256.Sum256(content)
		require.Equal(t, []any{f.SHA256, f.Bytes}, []any{hex.EncodeToString(sum[:]), int64(len(content))}, f.Name)
		rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
		require.NoError(t, err, f.Name)
		require.Equal(t, f.Columns, rows[0], f.Name)
		require.EqualValues(t, f.Rows, len(rows)-1, f.Name)
		stored := h.number(t, `select count(*) from `+f.Table+` where tenant_id = $1`, h.one.tenant)
		if strings.HasPrefix(f.Table, "audit_") || f.Table == "tenant_counter" || f.Table == "tenant_export" {
			require.LessOrEqual(t, f.Rows, stored, "the record of the export itself came after")
		} else {
			require.Equal(t, stored, f.Rows, f.Table)
		}
		total += f.Rows
	}
	require.Equal(t, total, made.Rows())
	require.EqualValues(t, 10, fileOf(t, manifest, "usage_event").Rows)
	require.Equal(t, []string{"credential_sealed"}, fileOf(t, manifest, "upstream").LeftOut)
	require.Equal(t, []string{"name_sealed", "email_sealed", "email_hash"}, fileOf(t, manifest, "person").LeftOut)
	require.Contains(t, string(contents["change.csv"]), `"quoted ""reason"", with`)

	whole := string(slices.Concat(contents["change.csv"], contents["upstream.csv"], contents["tenant.csv"], contents["member.csv"], contents["audit_record.csv"], contents["usage_event.csv"]))
	for _, absent := range []string{"sk-ant", "two", h.two.tenant.UUID(), h.one.key.Secret.Reveal(), "tenant_owner@one.test", hex.EncodeToString([]byte("sk-ant"))} {
		require.NotContains(t, whole, absent)
	}
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "tenant.export_begun"))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "tenant.exported"))
	require.Equal(t, before, h.number(t, `select count(*) from audit_record where tenant_id = $1`, h.two.tenant))
}

func fileOf(t *testing.T, e app.TenantExport, table string) app.ExportFile {
	t.Helper()
	at := slices.IndexFunc(e.Files, func(f app.ExportFile) bool { return f.Table == table })
	require.GreaterOrEqual(t, at, 0, table)
	return e.Files[at]
}

// full takes some bytes and no more, as a disk does.
type full struct{ room int }

var errFull = errors.New("no room")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestAnExportThatFailsSaysSoAndLeavesItsRecord(t *testing.T) {
	t.Parallel()
	h := build(t)
	for _, room := range []int{0, 100, 4000} {
		_, err := h.tenants.Export(t.Context(), h.one.who, "v", &full{room: room})
		require.ErrorIs(t, err, errFull)
	}
	require.EqualValues(t, 3, h.records(t, h.one.tenant, "tenant.export_begun"))
	require.Zero(t, h.records(t, h.one.tenant, "tenant.exported"))
	for _, role := range []app.Role{app.RoleTenantOwner, app.RoleAuditor} {
		_, err := h.tenants.Export(t.Context(), h.member(t, h.one, role, ""), "v", io.Discard)
		require.ErrorIs(t, err, app.ErrNotAllowed)
	}
	_, err := h.tenants.Export(t.Context(), app.Command(id.NewTenant(founded())), "v", io.Discard)
	require.Error(t, err, "nobody's")
}
