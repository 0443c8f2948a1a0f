package closing

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/fault"
	"tollbook/app/table"
)

// Holiday is a day on which nobody at a company works, besides weekends.
type Holiday struct {
	Day  string `json:"day"` // YYYY-MM-DD
	Name string `json:"name"`
}

const (
	// MaxHolidays bounds a company's list: some sixty years of them.
	MaxHolidays    = 1000
	maxHolidayName = 80
)

// HolidayColumns are those of a file of holidays.
func HolidayColumns() []string { return []string{"date", "name"} }

// ReadHolidays reads a file of holidays: whole, or all that is wrong with it.
func ReadHolidays(file []byte) ([]Holiday, []table.Flaw) {
	t := table.Read(file, table.Layout{Must: HolidayColumns(), MaxLines: MaxHolidays})
	if len(t.Flaws) > 0 {
		return nil, t.Flaws
	}
	var list []Holiday
	first := map[string]int{}
	for _, line := range t.Lines {
		h := Holiday{Day: line.Cell("date"), Name: line.Cell("name")}
		column, wrong := h.wrong()
		if before := first[h.Day]; wrong == "" && before > 0 {
			column, wrong = "date", fmt.Sprintf("Line %d has that day already.", before)
		}
		if wrong != "" {
			t.Flawf(line.Number, column, "%s", wrong)
		}
		first[h.Day] = line.Number
		list = append(list, h)
	}
	if len(t.Flaws) > 0 {
		return nil, t.Flaws
	}
	slices.SortFunc(list, func(a, b Holiday) int { return strings.Compare(a.Day, b.Day) })
	return list, nil
}

// CheckHolidays refuses a list that no file could be: days in their order, each once.
func CheckHolidays(list []Holiday) error {
	if len(list) > MaxHolidays {
		return fault.Invalid("days", "holidays_many", "A list has at most %d holidays.", MaxHolidays)
	}
	for i := range list {
		at := fmt.Sprintf("days[%d]", i)
		if _, wrong := list[i].wrong(); wrong != "" {
			return fault.Invalid(at, "holiday_line", "%s: %s", list[i].Day, wrong)
		}
		if i > 0 && list[i-1].Day >= list[i].Day {
			return fault.Invalid(at, "holiday_order", "Holidays come in the order of their days, each once: %s does not.", list[i].Day)
		}
	}
	return nil
}

// wrong says what is wrong with a holiday, and in which column; nothing where it is one.
func (h *Holiday) wrong() (column, why string) {
	at, err := time.Parse(time.DateOnly, h.Day)
	switch {
	case err != nil:
		return "date", fmt.Sprintf("%.40q is no day, such as 2026-12-25.", h.Day)
	case at.Year() < 2020 || at.Year() > 2120:
		return "date", "A holiday is from 2020 to 2120."
	case h.Name == "" || utf8.RuneCountInString(h.Name) > maxHolidayName || strings.ContainsFunc(h.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "name", fmt.Sprintf("A holiday has a name of 1 to %d printable characters.", maxHolidayName)
	}
	return "", ""
}
