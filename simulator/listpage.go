package simulator

import (
	"net/url"
	"slices"
	"strconv"
)

// listPage is the page of every list that is walked by ids.
type listPage[T any] struct {
	Data    []T     `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

// pageOf cuts the page that limit, after_id and before_id ask for. has_more looks the
// way the client walks.
func pageOf[T any](items []T, idOf func(T) string, query url.Values) (*listPage[T], *apiError) {
	limit, problem := limitOf(query, 20, 1000)
	if problem != nil {
		return nil, problem
	}
	first, last := 0, len(items)
	position := func(name string) (int, *apiError) {
		at := slices.IndexFunc(items, func(item T) bool { return idOf(item) == query.Get(name) })
		if at < 0 {
			return 0, invalid("%s: no such object in this list", name)
		}

		return at, nil
	}
	if query.Get("after_id") != "" {
		if first, problem = position("after_id"); problem != nil {
			return nil, problem
		}
		first++
	}
	var more bool
	if query.Get("before_id") != "" {
		if last, problem = position("before_id"); problem != nil {
			return nil, problem
		}
		more = last-limit > first
		first = max(first, last-limit)
	} else {
		more = first+limit < last
		last = min(last, first+limit)
	}
	page := &listPage[T]{Data: items[min(first, last):last], HasMore: more}
	if len(page.Data) > 0 {
		firstID, lastID := idOf(page.Data[0]), idOf(page.Data[len(page.Data)-1])
		page.FirstID, page.LastID = &firstID, &lastID
	} else {
		page.Data = []T{} // never null
	}

	return page, nil
}

// limitOf reads the number of rows of a page.
func limitOf(query url.Values, usual, most int) (int, *apiError) {
	word := query.Get("limit")
	if word == "" {
		return usual, nil
	}
	limit, err := strconv.Atoi(word)
	if err != nil || limit < 1 || limit > most {
		return 0, invalid("limit: must be an integer from 1 to %d", most)
	}

	return limit, nil
}
