package packet

import (
	"fmt"

	"tollbook/app/money"
)

// table prints a table; its heads come again on each sheet.
func (p *paper) table(t *table) {
	p.heading(t.title)
	if t.note != "" {
		p.paragraph(8, gray, t.note)
	}
	if len(t.rows) == 0 {
		return
	}
	p.y += 1.5
	shares := 0.0
	for _, c := range t.columns {
		shares += c.print
	}
	p.heads(t, shares)
	for i, row := range t.rows {
		if i == maxPrinted {
			p.need(line)
			p.y += line
			p.face(faceText, "", 8, gray)
			p.at(left, p.y, fmt.Sprintf("%s more rows are in %s.", count(int64(len(t.rows)-maxPrinted)), FileWorkbook))
			break
		}
		if p.y+line > bottom {
			p.page()
			p.heads(t, shares)
		}
		indent := 0
		if t.indents != nil {
			indent = t.indents[i]
		}
		p.row(t, shares, row, indent, "")
		p.stroke(p.y+1.4, rule)
	}
	if t.total != nil {
		if p.y+line > bottom {
			p.page()
			p.heads(t, shares)
		}
		p.stroke(p.y+1.4, black)
		p.row(t, shares, t.total, 0, "B")
	}
}

func (p *paper) heads(t *table, shares float64) {
	p.y += line
	p.face(faceText, "", 7.5, gray)
	x := left
	for _, c := range t.columns {
		if c.print == 0 {
			continue
		}
		width := wide * c.print / shares
		if c.right() {
			p.rightAt(x+width, p.y, c.head)
		} else {
			p.at(x, p.y, c.head)
		}
		x += width
	}
	p.stroke(p.y+1.4, strong)
}

// maxIndent is as deep as rows move to the right on paper.
const maxIndent = 6

func (p *paper) row(t *table, shares float64, row []cell, indent int, style string) {
	p.y += line
	x := left
	for i, c := range t.columns {
		if c.print == 0 {
			continue
		}
		width := wide * c.print / shares
		words, color := show(c.kind, row[i])
		p.face(faceText, style, 8.5, color)
		if c.right() {
			p.rightAt(x+width, p.y, words)
		} else {
			in := 0.0
			if x == left {
				in = float64(min(indent, maxIndent)) * 2.6
			}
			p.at(x+in, p.y, clip(p, words, width-in-2))
		}
		x += width
	}
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
