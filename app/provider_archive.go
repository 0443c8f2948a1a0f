package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/provider"
	"tollbook/db"
)

// ReportsAsk says which days an archive of reports holds, and what version makes it.
type ReportsAsk struct {
	From, Through time.Time // UTC days, both in it
	Version       string
}

const (
	// maxArchive bounds the bytes of the pages of one archive.
	maxArchive = 64 << 20
	// maxArchiveDays is a quarter, so that a quarter is one file.
	maxArchiveDays = 92
)

var errArchiveLarge = fault.Invalid("from", "reports_large", "The pages of these days are more than one archive takes, 64 MiB: ask for fewer days.")

// Archive is what the provider reported of some days, as it was received: of each report
// and day the pull that counts, its pages, and the digests they are held to. Whoever has an
// Admin API key of their own asks the provider the same and compares.
func (r *ProviderReports) Archive(ctx context.Context, who Actor, ask ReportsAsk) (Bundle, error) {
	var bundle Bundle
	if err := r.mayRead(who); err != nil {
		return bundle, err
	}
	days := int(ask.Through.Sub(ask.From)/oneDay) + 1
	if days < 1 || days > maxArchiveDays || ask.From.Truncate(oneDay) != ask.From || ask.Through.Truncate(oneDay) != ask.Through {
		return bundle, fault.Invalid("from", "reports_days", "An archive is of 1 to %d days, from the earlier to the later.", maxArchiveDays)
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tenant, err := tx.TenantRow()
		if err != nil {
			return err
		}
		contents := &provider.Contents{
			Format: provider.ArchiveFormat, Tenant: tenant.Slug, TenantID: tx.Tenant.String(), From: ask.From.Format(time.DateOnly), Through: ask.Through.Format(time.DateOnly),
			KnownAt: tx.Now.UTC(), Pulls: []provider.ArchivedPull{}, Missing: []provider.MissingReport{},
		}
		sources, err := tx.Sources(1)
		if err != nil {
			return err
		}
		if len(sources) > 0 {
			contents.Source = sourceOf(&sources[0]).BaseURL
		}
		pages, err := archivePulls(tx, contents, ask)
		if err != nil {
			return err
		}
		about := export.Manifest{
			Report: "Provider reports as received", ReportVersion: 1, CodeVersion: ask.Version, Tenant: tenant.Slug, TenantID: contents.TenantID, AsOf: tx.Now, KnownAt: tx.Now, RunAt: tx.Now, RunBy: runBy(who),
			Filters: []export.Pair{{Name: "from", Value: contents.From}, {Name: "through", Value: contents.Through}}, Columns: []string{}, Rows: len(contents.Pulls), File: provider.ContentsFile,
			ControlTotals: []export.Pair{{Name: "pulls", Value: strconv.Itoa(len(contents.Pulls))}, {Name: "pages", Value: strconv.Itoa(len(pages))}, {Name: "missing", Value: strconv.Itoa(len(contents.Missing))}},
		}
		if err := logged(tx, &about); err != nil {
			return err
		}
		document, err := contents.JSON()
		if err != nil {
			return err
		}
		manifest, err := about.Of(document).JSON()
		if err != nil {
			return err
		}
		parts := []export.Part{{Name: provider.ContentsFile, At: tx.Now, Content: document}, {Name: provider.ContentsAbout, At: tx.Now, Content: manifest}}
		bundle = Bundle{Name: fmt.Sprintf("tollbook-%s-reports-%s-%s.zip", tenant.Slug, contents.From, contents.Through), Type: "application/zip"}
		bundle.Content, err = export.Bind(append(parts, pages...))
		return err
	})
	return bundle, err
}

// archivePulls gathers the pages of the pulls that count.
func archivePulls(tx *db.Tx, into *provider.Contents, ask ReportsAsk) ([]export.Part, error) {
	var pages []export.Part
	size := 0
	for day := ask.From; !day.After(ask.Through); day = day.Add(oneDay) {
		for _, report := range []provider.Report{provider.Usage, provider.Cost} {
			text := day.Format(time.DateOnly)
			pull, found, err := tx.GoodPull(report, day)
			if err != nil {
				return nil, err
			}
			if !found {
				into.Missing = append(into.Missing, provider.MissingReport{Report: report, Day: text})
				continue
			}
			kept, err := tx.Pages(pull.PullID)
			if err != nil {
				return nil, err
			}
			one := provider.ArchivedPull{ID: pull.PullID.String(), Number: pull.Number, Report: report, Day: text, API: provider.API(pull.API), Figures: pull.Figures, Digest: hex.EncodeToString(pull.Digest)}
			if pull.AsOf != nil {
				one.AsOf = pull.AsOf.UTC()
			}
			for i := range kept {
				if size += kept[i].ContentBytes; size > maxArchive {
					return nil, errArchiveLarge
				}
				page, _, err := tx.Page(pull.PullID, kept[i].Place)
				if err != nil {
					return nil, err
				}
				of := provider.ArchivedPage{
					File: provider.PageFile(text, report, page.Place), Request: page.Request, SHA256: hex.EncodeToString(page.ContentSha256), Bytes: len(page.Content), FetchedAt: page.FetchedAt.UTC(),
				}
				one.Pages = append(one.Pages, of)
				pages = append(pages, export.Part{Name: of.File, At: of.FetchedAt, Content: page.Content})
			}
			into.Pulls = append(into.Pulls, one)
		}
	}
	return pages, nil
}
