package packet

import (
	"fmt"

	"tollbook/app/money"
)

// How a table is set, in millimeters and points.
const (
	tableSize = 8.5
	lineHigh  = 3.9 // of the second and further lines of a row
	ruleBelow = 1.4
)

// table prints a table; its heads come again on each sheet. No text is cut: a row is as high
// as its longest cell, and a number that is wider than its column is set smaller. Rows do not
// stand alone: the first come with the heads, the last with the total.
func (p *paper) table(t *table) {
	wides := p.wides(t)
	p.tableHead(t, wides)
	if len(t.rows) == 0 {
		return
	}
	p.y += 1.5
	p.heads(t, wides)
	last := min(len(t.rows), maxPrinted) - 1
	for i, row := range t.rows[:last+1] {
		indent := 0
		if t.indents != nil {
			indent = t.indents[i]
		}
		laid := p.lay(t, wides, row, indent, "")
		high := laid.high()
		if i == last {
			high += line // its total, or what says that there are more
		}
		if p.y+high > bottom {
			p.page()
			p.heads(t, wides)
		}
		p.row(&laid)
		p.stroke(p.y+ruleBelow, rule)
	}
	if len(t.rows) > maxPrinted {
		p.need(line)
		p.y += line
		p.face(faceText, "", 8, gray)
		p.at(left, p.y, fmt.Sprintf("%s more rows are in %s.", count(int64(len(t.rows)-maxPrinted)), FileWorkbook))
	}
	if t.total != nil {
		laid := p.lay(t, wides, t.total, 0, "B")
		if p.y+laid.high() > bottom {
			p.page()
			p.heads(t, wides)
		}
		p.stroke(p.y+ruleBelow, black)
		p.row(&laid)
	}
}

// wides are the widths of a table's columns: their shares of the sheet. Where a number is wider
// than its column, columns of numbers have what the widest of each takes, and those of text
// what is left, for they can be in more lines.
func (p *paper) wides(t *table) []float64 {
	out, needs := make([]float64, len(t.columns)), make([]float64, len(t.columns))
	shares, texts, numbers := 0.0, 0.0, 0.0
	for _, c := range t.columns {
		shares += c.print
	}
	lacks := false
	for i, c := range t.columns {
		out[i] = wide * c.print / shares
		switch {
		case c.print == 0:
		case c.onRight():
			needs[i] = p.widest(t, i)
			numbers += needs[i]
			lacks = lacks || needs[i] > out[i]
		default:
			texts += out[i]
		}
	}
	if !lacks {
		return out
	}
	const least = 0.5 // of what columns of text have by their shares
	rest := max(wide-numbers, texts*least)
	for i, c := range t.columns {
		switch {
		case c.print == 0:
		case c.onRight():
			out[i] = needs[i] * (wide - rest) / numbers // below one, numbers are set smaller
		default:
			out[i] *= rest / texts
		}
	}
	return out
}

// widest is what the widest cell of a column takes, and at least what its name does.
func (p *paper) widest(t *table, i int) float64 {
	const narrow = 11.0
	p.face(faceText, "B", tableSize, black)
	needs := narrow
	for k := range min(len(t.rows), maxPrinted) {
		words, _ := show(t.columns[i].kind, t.rows[k][i])
		needs = max(needs, p.pdf.GetStringWidth(words)+2)
	}
	if t.total != nil {
		words, _ := show(t.columns[i].kind, t.total[i])
		needs = max(needs, p.pdf.GetStringWidth(words)+2)
	}
	return needs
}

// firstRows is how many rows stay with the heads of their table.
const firstRows = 3

// tableHigh is what a table without a total takes.
func (p *paper) tableHigh(t *table) float64 {
	wides := p.wides(t)
	high := headingHigh + 1.5 + line
	for _, row := range t.rows {
		laid := p.lay(t, wides, row, 0, "")
		high += laid.high()
	}
	return high
}

// tableHead prints a table's title and basis on a sheet that has room for its first rows.
func (p *paper) tableHead(t *table, wides []float64) {
	p.face(faceText, "", 8, gray)
	high := headingHigh + float64(len(p.wrap(t.note, wide)))*8*point*leading + 1.5 + line
	for i := range min(len(t.rows), firstRows) {
		laid := p.lay(t, wides, t.rows[i], 0, "")
		high += laid.high()
	}
	if len(t.rows) <= firstRows {
		high += line
	}
	p.need(high)
	p.heading(t.title)
	if t.note != "" {
		p.paragraph(8, gray, t.note)
	}
}

func (p *paper) heads(t *table, wides []float64) {
	p.face(faceText, "", 7.5, gray)
	lines := make([][]string, len(t.columns))
	most := 1
	for i, c := range t.columns {
		if c.print > 0 {
			lines[i] = p.wrap(c.head, wides[i]-1-t.gutter(i))
			most = max(most, len(lines[i]))
		}
	}
	p.y += line + float64(most-1)*3.2
	x := left
	for i, c := range t.columns {
		if c.print == 0 {
			continue
		}
		width := wides[i]
		for k, text := range lines[i] { // they stand on the rule
			y := p.y - float64(len(lines[i])-1-k)*3.2
			if c.onRight() {
				p.rightAt(x+width, y, text)
			} else {
				p.at(x+t.gutter(i), y, text)
			}
		}
		x += width
	}
	p.stroke(p.y+ruleBelow, strong)
}

// onRight tells whether a column's cells end at its right edge on paper.
func (c *column) onRight() bool { return c.right() || c.kind == exact }

// gutter keeps a column that begins at its left edge from one before it that ends at its right.
func (t *table) gutter(i int) float64 {
	for k := i - 1; k >= 0 && !t.columns[i].onRight(); k-- {
		if t.columns[k].print > 0 {
			if t.columns[k].onRight() {
				return 3
			}
			break
		}
	}
	return 0
}

// maxIndent is as deep as rows move to the right on paper.
const maxIndent = 6

// laidCell is a cell as it is printed.
type laidCell struct {
	x     float64 // of its left edge, or of its right one
	right bool
	size  float64
	color ink
	lines []string
}

// laidRow is a row as it is printed.
type laidRow struct {
	cells []laidCell
	style string
}

func (r *laidRow) high() float64 {
	most := 1
	for i := range r.cells {
		most = max(most, len(r.cells[i].lines))
	}
	return line + float64(most-1)*lineHigh
}

// lay puts the cells of a row into lines.
func (p *paper) lay(t *table, wides []float64, row []cell, indent int, style string) laidRow {
	r := laidRow{style: style}
	x := left
	for i, c := range t.columns {
		if c.print == 0 {
			continue
		}
		width := wides[i]
		words, color := show(c.kind, row[i])
		one := laidCell{x: x + t.gutter(i), right: c.onRight(), size: tableSize, color: color}
		p.face(faceText, style, tableSize, color)
		if one.right {
			one.x = x + width
			for p.pdf.GetStringWidth(words) > width-1 && one.size > 5 {
				one.size -= 0.5
				p.face(faceText, style, one.size, color)
			}
			one.lines = []string{words}
		} else {
			if x == left {
				one.x += float64(min(indent, maxIndent)) * 2.6
			}
			one.lines = p.wrap(words, x+width-one.x-2)
		}
		r.cells = append(r.cells, one)
		x += width
	}
	return r
}

func (p *paper) row(r *laidRow) {
	p.y += line
	for i := range r.cells {
		c := &r.cells[i]
		p.face(faceText, r.style, c.size, c.color)
		for k, text := range c.lines {
			if c.right {
				p.rightAt(c.x, p.y, text)
			} else {
				p.at(c.x, p.y+float64(k)*lineHigh, text)
			}
		}
	}
	p.y += r.high() - line
}

// show is a cell in words. A difference has its sign and a color, never the color alone.
func show(k kind, value cell) (string, ink) {
	switch v := value.(type) {
	case string:
		return v, black
	case int64:
		return count(v), black
	case money.Cents:
		switch {
		case k != change:
			return amount(v), black
		case v > 0:
			return signed(v), over
		case v < 0:
			return signed(v), under
		}
		return signed(v), black
	}
	return "", black
}
