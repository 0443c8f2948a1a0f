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
	shares := 0.0
	for _, c := range t.columns {
		shares += c.print
	}
	p.tableHead(t, shares)
	if len(t.rows) == 0 {
		return
	}
	p.y += 1.5
	p.heads(t, shares)
	last := min(len(t.rows), maxPrinted) - 1
	for i, row := range t.rows[:last+1] {
		indent := 0
		if t.indents != nil {
			indent = t.indents[i]
		}
		laid := p.lay(t, shares, row, indent, "")
		high := laid.high()
		if i == last {
			high += line // its total, or what says that there are more
		}
		if p.y+high > bottom {
			p.page()
			p.heads(t, shares)
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
		laid := p.lay(t, shares, t.total, 0, "B")
		if p.y+laid.high() > bottom {
			p.page()
			p.heads(t, shares)
		}
		p.stroke(p.y+ruleBelow, black)
		p.row(&laid)
	}
}

// firstRows is how many rows stay with the heads of their table.
const firstRows = 3

// tableHead prints a table's title and basis on a sheet that has room for its first rows.
func (p *paper) tableHead(t *table, shares float64) {
	p.face(faceText, "", 8, gray)
	high := headingHigh + float64(len(p.wrap(t.note, wide)))*8*point*leading + 1.5 + line
	for i := range min(len(t.rows), firstRows) {
		laid := p.lay(t, shares, t.rows[i], 0, "")
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

func (p *paper) heads(t *table, shares float64) {
	p.face(faceText, "", 7.5, gray)
	lines := make([][]string, len(t.columns))
	most := 1
	for i, c := range t.columns {
		if c.print > 0 {
			lines[i] = p.wrap(c.head, wide*c.print/shares-1)
			most = max(most, len(lines[i]))
		}
	}
	p.y += line + float64(most-1)*3.2
	x := left
	for i, c := range t.columns {
		if c.print == 0 {
			continue
		}
		width := wide * c.print / shares
		for k, text := range lines[i] { // they stand on the rule
			y := p.y - float64(len(lines[i])-1-k)*3.2
			if c.right() {
				p.rightAt(x+width, y, text)
			} else {
				p.at(x, y, text)
			}
		}
		x += width
	}
	p.stroke(p.y+ruleBelow, strong)
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
func (p *paper) lay(t *table, shares float64, row []cell, indent int, style string) laidRow {
	r := laidRow{style: style}
	x := left
	for i, c := range t.columns {
		if c.print == 0 {
			continue
		}
		width := wide * c.print / shares
		words, color := show(c.kind, row[i])
		one := laidCell{x: x, right: c.right(), size: tableSize, color: color}
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
