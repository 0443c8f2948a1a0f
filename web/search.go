package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/web/ui"
)

type searchView struct {
	Frame  ui.Frame
	Query  string
	Alert  string
	Groups []foundGroup
}

// foundGroup is what was found of one kind.
type foundGroup struct {
	Title string
	Items []foundItem
}

type foundItem struct {
	Label, Note string
	URL         string
	More        []link
}

// showSearch finds by a text; one thing of exactly that id is gone to at once.
func (w *Web) showSearch(v *visit) error {
	text := strings.TrimSpace(v.QueryParam("q"))
	found, err := w.areas.Reports.Search(v.Request().Context(), v.who, text)
	view := &searchView{Query: text}
	status := http.StatusOK
	if err != nil && fault.KindOf(err) == fault.KindInvalid {
		status, view.Alert, err = http.StatusUnprocessableEntity, fault.From(err).Message, nil
	}
	if err != nil {
		return err
	}
	switch {
	case len(found.Requests) == 1 && found.Session == "":
		return v.Redirect(http.StatusSeeOther, "/requests/"+found.Requests[0].ID.String())
	case len(found.Requests) == 0 && found.Session != "":
		return v.Redirect(http.StatusSeeOther, sessionURL(found.Session))
	}
	view.Frame = v.frame("Search")
	view.Frame.Search = text
	view.add("Periods", v.periods(text))
	view.found(v, &found)
	return render(v, status, searchPage(view))
}

func (s *searchView) add(title string, items []foundItem) {
	if len(items) > 0 {
		s.Groups = append(s.Groups, foundGroup{Title: title, Items: items})
	}
}

func (s *searchView) found(v *visit, f *app.Found) {
	var requests, sessions, nodes, keys, developers []foundItem
	for i := range f.Requests {
		r := &f.Requests[i]
		requests = append(requests, foundItem{Label: r.ModelServedOrAsked() + ", " + ui.Instant(r.OccurredAt), Note: allocatedTo(r), URL: "/requests/" + r.ID.String()})
	}
	if f.Session != "" {
		sessions = []foundItem{{Label: "Session " + f.Session, URL: sessionURL(f.Session), More: []link{{Label: "Its requests", URL: requestsQuery{Session: f.Session}.url("/requests")}}}}
	}
	explore := func(q requestsQuery, by string) link {
		e := exploreQueryOf(url.Values{})
		e.requestsQuery, e.By = q, by
		return link{Label: "Explore", URL: e.url("/explore")}
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		q := requestsQuery{Node: n.Code}
		nodes = append(nodes, foundItem{Label: n.Code + " " + n.Name, Note: ui.Words(string(n.Kind)) + ", " + n.Path, URL: nodeURL(n.Code), More: []link{{Label: "Its requests", URL: q.url("/requests")}, explore(q, app.DimensionDay)}})
	}
	for _, k := range f.Keys {
		q := requestsQuery{Key: k.ID.String()}
		keys = append(keys, foundItem{
			Label: k.Label, Note: ui.Words(k.State(v.web.cfg.Now())) + ", " + k.CostCenter + ", ends in " + k.Hint, URL: q.url("/requests"), More: []link{explore(q, app.DimensionDay)},
		})
		if v.may("key", "read") {
			one := &keys[len(keys)-1]
			one.URL, one.More = "/keys/"+k.ID.String(), append([]link{{Label: "Its requests", URL: one.URL}}, one.More...)
		}
	}
	for _, d := range f.Developers {
		q := requestsQuery{Developer: d.ID.String()}
		note := "declared"
		if d.Verified {
			note = "verified"
		}
		developers = append(developers, foundItem{
			Label: d.Label, Note: note, URL: q.url("/requests"), More: []link{{Label: "Sessions", URL: q.url("/sessions")}, explore(q, app.DimensionDay)},
		})
	}
	s.add("Requests", requests)
	s.add("Sessions", sessions)
	s.add("Cost centers and projects", nodes)
	s.add("Virtual keys", keys)
	s.add("Developers", developers)
}

// periods reads a text as a month or a day of the books.
func (v *visit) periods(text string) []foundItem {
	title := strings.ToUpper(text[:min(len(text), 1)]) + strings.ToLower(text[min(len(text), 1):])
	for _, layout := range []string{"2006-01", "January 2006", "Jan 2006", "01/2006"} {
		at, err := time.Parse(layout, title)
		if err != nil {
			continue
		}
		month := period.MonthOf(at)
		item := foundItem{Label: monthName(month), Note: "all " + ui.Plural(int64(month.Days()), "day"), URL: requestsURL(month)}
		if v.may("chargeback", "read") {
			item.URL = monthQuery{Month: month, Current: period.MonthOf(v.web.cfg.Now()), Group: groupings()[0]}.url("/")
			item.More = []link{{Label: "Requests", URL: requestsURL(month)}}
		}
		e := exploreQueryOf(url.Values{})
		e.From, e.To = ui.Date(month.Start()), ui.Date(month.End())
		item.More = append(item.More, link{Label: "Explore", URL: e.url("/explore")})
		return []foundItem{item}
	}
	for _, layout := range []string{time.DateOnly, "2 Jan 2006", "2 January 2006", "Jan 2, 2006", "January 2, 2006"} {
		day, err := time.Parse(layout, title)
		if err != nil {
			if day, err = time.Parse(layout, text); err != nil {
				continue
			}
		}
		q := requestsQuery{From: ui.Date(day), To: ui.Date(day.AddDate(0, 0, 1))}
		return []foundItem{{Label: ui.Day(day), Note: "a UTC day", URL: q.url("/requests"), More: []link{{Label: "Sessions", URL: q.url("/sessions")}}}}
	}
	return nil
}
