// Package api is the programs' way in: /api/v1, JSON, bearer tokens.
//
// It owns the wire types, strict reading of queries and bodies, paging, problems
// (RFC 9457) and the OpenAPI document, which is made from the very types the
// handlers take and return, so that it cannot drift. It does not own rules or access
// (app), nor sessions: a cookie means nothing here, and a token decides nothing.
//
// Invariants: what is not understood is refused by name, never ignored; every list
// has a limit of at most 500, a cursor, and its manifest in headers (manifest.go);
// charges are decimal strings with twelve decimals; every failure is a problem whose
// type is in a closed list.
//
// Words: endpoint, query, page, cursor, problem.
package api
