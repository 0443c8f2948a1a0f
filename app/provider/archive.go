package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"tollbook/app/fault"
	"tollbook/app/money"
)

// ArchiveFormat names the layout of an archive's contents.
const ArchiveFormat = "tollbook provider reports 1"

// ContentsFile is what an archive's contents are called in it, and ContentsAbout the
// manifest beside them.
const (
	ContentsFile  = "reports.json"
	ContentsAbout = ContentsFile + ".manifest.json"
)

const (
	maxContents      = 16 << 20
	maxArchivedPulls = 5000
)

// ErrArchive reports an archive that is not what its contents say.
var ErrArchive = fault.New(fault.KindConflict, "reports_archive", "The archive is not what its contents say.")

// Contents are what an archive of reports holds: of each report and day the pull that
// counted, with its pages as they were received.
type Contents struct {
	Format   string         `json:"format"`
	Tenant   string         `json:"tenant"`
	TenantID string         `json:"tenant_id"`
	Source   string         `json:"source"` // the address that reports come from now
	From     string         `json:"from"`   // the first day, YYYY-MM-DD in UTC
	Through  string         `json:"through"`
	KnownAt  time.Time      `json:"known_at"`
	Pulls    []ArchivedPull `json:"pulls"`
	// Missing are the days without a pull that counted, each with the report's name.
	Missing []MissingReport `json:"missing"`
}

// MissingReport is a report of a day that nobody has.
type MissingReport struct {
	Report Report `json:"report"`
	Day    string `json:"day"`
}

// ArchivedPull is one pull of an archive.
type ArchivedPull struct {
	ID      string         `json:"id"`
	Number  int64          `json:"number"`
	Report  Report         `json:"report"`
	Day     string         `json:"day"`
	API     API            `json:"api"`
	AsOf    time.Time      `json:"as_of"`
	Figures int            `json:"figures"`
	Digest  string         `json:"figures_sha256"`
	Pages   []ArchivedPage `json:"pages"`
}

// ArchivedPage is one page of a pull.
type ArchivedPage struct {
	File      string    `json:"file"`
	Request   string    `json:"request"` // path and query, without a credential
	SHA256    string    `json:"sha256"`
	Bytes     int       `json:"bytes"`
	FetchedAt time.Time `json:"fetched_at"`
}

// PageFile is what a page is called in an archive.
func PageFile(day string, report Report, place int) string {
	return fmt.Sprintf("pages/%s/%s-%03d.json", day, report, place)
}

// JSON is the contents as bytes.
func (c *Contents) JSON() ([]byte, error) {
	document, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the contents: %w", err)
	}
	return append(document, '\n'), nil
}

// Archived is a pull of an archive with the figures that its pages make.
type Archived struct {
	ArchivedPull

	On      time.Time // the day
	Figures []Figure
}

// IsArchive tells whether a bundle of files is an archive of reports.
func IsArchive(bundle fs.FS) bool {
	_, err := fs.Stat(bundle, ContentsFile)
	return err == nil
}

// CheckArchive reads an archive and holds every page to its digest, and every pull to the
// digest of the figures that its pages make. It is an error that names the first thing
// that is not so; a file that the contents do not name is one, too.
func CheckArchive(bundle fs.FS) (Contents, []Archived, error) {
	var c Contents
	document, err := bounded(bundle, ContentsFile, maxContents)
	if err != nil {
		return c, nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil || c.Format != ArchiveFormat || len(c.Pulls) > maxArchivedPulls {
		return c, nil, broken("%s is not of the layout %q", ContentsFile, ArchiveFormat)
	}
	named := map[string]bool{ContentsFile: true, ContentsAbout: true}
	var list []Archived
	for i := range c.Pulls {
		one, err := c.Pulls[i].read(bundle, named)
		if err != nil {
			return c, nil, err
		}
		list = append(list, one)
	}
	err = fs.WalkDir(bundle, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || named[name] {
			return err
		}
		return broken("%s is in no pull", name)
	})
	return c, list, err
}

func (p *ArchivedPull) read(bundle fs.FS, named map[string]bool) (Archived, error) {
	one := Archived{ArchivedPull: *p}
	day, err := time.Parse(time.DateOnly, p.Day)
	if err != nil || !p.Report.OfFigures() || len(p.Pages) == 0 || len(p.Pages) > MaxPages {
		return one, broken("pull %d is no pull of a report of a day", p.Number)
	}
	one.On = day
	reading := Begin(p.API, p.Report, day)
	for i := range p.Pages {
		page := &p.Pages[i]
		if page.File != path.Clean(page.File) || named[page.File] {
			return one, broken("page %d of pull %d is named as another is", i+1, p.Number)
		}
		named[page.File] = true
		content, err := bounded(bundle, page.File, MaxPageBytes)
		if err != nil {
			return one, err
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != page.SHA256 || len(content) != page.Bytes {
			return one, broken("%s does not have the bytes that were received", page.File)
		}
		if err := reading.Read(content); err != nil {
			return one, broken("%s cannot be read: %s", page.File, fault.From(err).Message)
		}
	}
	if _, more := reading.Next(); more {
		return one, broken("pull %d lacks its last page", p.Number)
	}
	digest := reading.Digest()
	if one.Figures = reading.Figures(); hex.EncodeToString(digest[:]) != p.Digest || len(one.Figures) != p.Figures {
		return one, broken("the pages of pull %d, %s of %s, make other figures than counted", p.Number, p.Report, p.Day)
	}
	return one, nil
}

// bounded reads a file of at most so many bytes.
func bounded(bundle fs.FS, name string, most int) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, broken("%.100q is no file of an archive", name)
	}
	file, err := bundle.Open(name)
	if err != nil {
		return nil, broken("%s is not there", name)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	switch {
	case err != nil:
		return nil, broken("%s cannot be read: %v", name, err)
	case len(content) > most:
		return nil, broken("%s has more than %d bytes", name, most)
	}
	return content, nil
}

func broken(format string, args ...any) error {
	return fault.New(ErrArchive.Kind, ErrArchive.Code, fmt.Sprintf(format, args...)+".")
}

// Difference is a figure that two readings of a report of a day have in two amounts.
type Difference struct {
	Figure // its dimensions

	Before, After Figure // zero: it is not in that reading
}

// Amounts are by how much more the later reading has, at list and to be paid.
func (d *Difference) Amounts() (list, amount money.Sum) {
	var before money.Sum
	list.Add(d.After.List)
	before.Add(d.Before.List)
	list.SubSum(&before)
	var paid money.Sum
	amount.Add(d.After.Amount)
	paid.Add(d.Before.Amount)
	amount.SubSum(&paid)
	return list, amount
}

// Differences are the figures of one report of one day that two readings disagree about,
// in the order of figures.
func Differences(before, after []Figure) []Difference {
	type pair struct{ before, after Figure }
	both := map[dimensions]*pair{}
	at := func(f *Figure) *pair {
		if both[f.dimensions()] == nil {
			both[f.dimensions()] = &pair{}
		}
		return both[f.dimensions()]
	}
	for i := range before {
		at(&before[i]).before = before[i]
	}
	for i := range after {
		at(&after[i]).after = after[i]
	}
	var list []Difference
	for _, p := range both {
		if p.before == p.after {
			continue
		}
		of := p.before
		if of == (Figure{}) {
			of = p.after
		}
		list = append(list, Difference{Figure: of, Before: p.before, After: p.after})
	}
	slices.SortFunc(list, func(a, b Difference) int { return a.order(&b.Figure) })
	return list
}
