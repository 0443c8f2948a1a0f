package packet

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// faces are what is printed with: Inter with figures of one width, and JetBrains Mono, cut to
// the letters of European languages (fonts/README.txt).
//
//go:embed fonts/*.ttf
var faces embed.FS

// A sheet of A4, in millimeters.
const (
	sheetWide, sheetHigh = 210.0, 297.0
	left, right          = 18.0, sheetWide - 18.0
	wide                 = right - left
	top, bottom          = 27.0, sheetHigh - 22.0
	line                 = 5.4    // a row of a table
	point                = 0.3528 // millimeters
	leading              = 1.45   // of a line of text, by its size
)

// ink is a color, 0xrrggbb.
type ink int

// The inks of paper, as the product's style sheet has them.
const (
	black  ink = 0x1b1d21
	gray   ink = 0x565a63
	rule   ink = 0xe3dfd5
	strong ink = 0x8a8577
	over   ink = 0xa84a00
	under  ink = 0x14639c
)

func (c ink) rgb() (r, g, b int) { return int(c >> 16), int(c >> 8 & 0xff), int(c & 0xff) }

// paper is a document under way: a cursor that goes down the sheet.
type paper struct {
	pdf   *fpdf.Fpdf
	f     *Figures
	y     float64
	pages int // of the whole document, as it was found to have; 0: not known yet
}

const (
	faceText  = "text"
	faceFixed = "fixed"
)

func newPaper(f *Figures, pages int) *paper {
	p := &paper{pdf: fpdf.New("P", "mm", "A4", ""), f: f, pages: pages}
	p.pdf.SetCatalogSort(true)
	p.pdf.SetCreationDate(f.At.UTC().Truncate(time.Second))
	p.pdf.SetModificationDate(f.At.UTC().Truncate(time.Second))
	p.pdf.SetProducer("Tollbook", true)
	p.pdf.SetCreator("Tollbook", true)
	p.pdf.SetTitle(f.Title(), true)
	p.pdf.SetAuthor(f.Paper(), true)
	p.pdf.SetLang("en-US")
	p.pdf.SetAutoPageBreak(false, 0)
	p.pdf.SetMargins(0, 0, 0)
	for _, face := range []struct{ family, style, file string }{
		{faceText, "", "inter-print-regular"}, {faceText, "B", "inter-print-semibold"}, {faceFixed, "", "jetbrains-mono-print-regular"},
	} {
		letters, err := faces.ReadFile("fonts/" + face.file + ".ttf")
		if err != nil {
			p.pdf.SetError(err)
			break
		}
		p.pdf.AddUTF8FontFromBytes(face.family, face.style, letters)
	}
	p.page()
	return p
}

// page begins a sheet, with its head and foot.
func (p *paper) page() {
	p.pdf.AddPage()
	p.pdf.SetLineWidth(0.2)
	p.at(left, 15, p.fit("B", 8.5, black, p.f.Paper(), wide*0.55))
	p.face(faceText, "", 8.5, gray)
	of := monthName(p.f.Month)
	if !p.f.Scope.Whole() {
		of += " · " + p.f.Scope.Code
	}
	p.rightAt(right, 15, fmt.Sprintf("%s · revision %d · %s", of, p.f.Revision, p.f.Mark()))
	p.stroke(18, strong)
	p.stroke(sheetHigh-15.5, rule)
	p.at(left, sheetHigh-11, p.fit("", 7.5, gray, strings.TrimSpace(p.f.Confidentiality), wide*0.6))
	p.face(faceText, "", 7.5, gray)
	if p.pages > 0 {
		p.rightAt(right, sheetHigh-11, fmt.Sprintf("Page %d of %d", p.pdf.PageNo(), p.pages))
	}
	p.y = top
}

// need begins another sheet where less than so much is left of this one.
func (p *paper) need(height float64) {
	if p.y+height > bottom {
		p.page()
	}
}

func (p *paper) face(family, style string, size float64, c ink) {
	p.pdf.SetFont(family, style, size)
	p.pdf.SetTextColor(c.rgb())
}

// stroke is a rule across the sheet.
func (p *paper) stroke(y float64, c ink) {
	p.pdf.SetDrawColor(c.rgb())
	p.pdf.Line(left, y, right, y)
}

func (p *paper) at(x, y float64, text string) {
	if text = printable(text); text != "" {
		p.pdf.Text(x, y, text)
	}
}

func (p *paper) rightAt(x, y float64, text string) {
	text = printable(text)
	p.at(x-p.pdf.GetStringWidth(text), y, text)
}

// printable replaces what the faces have no letter for.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0):
			return ' '
		case r <= 0x17f, r >= 0x1e00 && r <= 0x1eff, r >= 0x391 && r <= 0x3ce && r != 0x3a2, r >= 0x400 && r <= 0x45f, r >= 0x2010 && r <= 0x2027, r >= 0x2030 && r <= 0x203a, r == 0x20ac, r == 0x2212:
			return r
		}
		return '?'
	}, text)
}

// clip shortens a text to a width.
func clip(p *paper, text string, width float64) string {
	text = printable(text)
	if p.pdf.GetStringWidth(text) <= width {
		return text
	}
	letters := []rune(text)
	for n := len(letters) - 1; n > 0; n-- {
		if short := strings.TrimSpace(string(letters[:n])) + "…"; p.pdf.GetStringWidth(short) <= width {
			return short
		}
	}
	return ""
}

// wrap splits a text into lines of a width.
func (p *paper) wrap(text string, width float64) []string {
	var lines []string
	current := ""
	for word := range strings.FieldsSeq(printable(text)) {
		for p.pdf.GetStringWidth(word) > width { // an id longer than a line
			n := len([]rune(word)) - 1
			for n > 1 && p.pdf.GetStringWidth(string([]rune(word)[:n])) > width {
				n--
			}
			if current != "" {
				lines, current = append(lines, current), ""
			}
			n = joint([]rune(word), n)
			lines, word = append(lines, string([]rune(word)[:n])), string([]rune(word)[n:])
		}
		next := strings.TrimSpace(current + " " + word)
		if current != "" && p.pdf.GetStringWidth(next) > width {
			lines, current = append(lines, current), word
			continue
		}
		current = next
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}

// joint is where a word is parted that has room for n letters: behind the last mark in it, if
// it has one.
func joint(word []rune, n int) int {
	for k := n; k > 1; k-- {
		if strings.ContainsRune("-_./:", word[k-1]) {
			return k
		}
	}
	return n
}

// fit sets a text as small as it has to be for a width, within reason, and shortens it where
// even that is too much.
func (p *paper) fit(style string, size float64, c ink, text string, width float64) string {
	const smallest = 6
	p.face(faceText, style, size, c)
	for p.pdf.GetStringWidth(printable(text)) > width && size > smallest {
		size -= 0.25
		p.face(faceText, style, size, c)
	}
	return clip(p, text, width)
}

// paragraph is a text over the sheet's width.
func (p *paper) paragraph(size float64, c ink, text string) {
	p.face(faceText, "", size, c)
	for _, one := range p.wrap(text, wide) {
		p.need(size * point * leading)
		p.face(faceText, "", size, c)
		p.y += size * point * leading
		p.at(left, p.y, one)
	}
}

// headingHigh is what a heading takes.
const headingHigh = 10.2

// heading begins a part of the document.
func (p *paper) heading(text string) {
	p.need(26)
	if p.y == top { // nothing is above it
		p.y -= 6
	}
	p.y += 9
	p.face(faceText, "B", 11, black)
	p.at(left, p.y, text)
	p.y += 1.2
}

// factName is what the name of a fact has of the sheet's width.
const factName = 44.0

// fact is a name with what it is, in one or more lines.
func (p *paper) fact(name, value string, fixed bool) {
	family, size := faceText, 8.5
	if fixed {
		family, size = faceFixed, 7.5
	}
	p.face(faceText, "", 8.5, gray)
	if p.pdf.GetStringWidth(printable(name)) > factName-2 { // a long one stands above what it is
		for _, one := range p.wrap(name, wide) {
			p.need(2 * line)
			p.y += line * 0.86
			p.face(faceText, "", 8.5, gray)
			p.at(left, p.y, one)
		}
		name = ""
	}
	p.face(family, "", size, black)
	for i, one := range p.wrap(value, wide-factName) {
		p.need(line)
		p.y += line * 0.86
		if i == 0 {
			p.face(faceText, "", 8.5, gray)
			p.at(left, p.y, name)
		}
		p.face(family, "", size, black)
		p.at(left+factName, p.y, one)
	}
}

// factHigh is what a fact takes.
func (p *paper) factHigh(value string, fixed bool) float64 {
	family, size := faceText, 8.5
	if fixed {
		family, size = faceFixed, 7.5
	}
	p.face(family, "", size, black)
	return float64(len(p.wrap(value, wide-factName))) * line * 0.86
}

func (p *paper) bytes() ([]byte, int, error) {
	var out bytes.Buffer
	pages := p.pdf.PageNo()
	if err := p.pdf.Output(&out); err != nil {
		return nil, 0, fmt.Errorf("print summary: %w", err)
	}
	return out.Bytes(), pages, nil
}
