package web

import "net/url"

const commentaryPath = "/commentary"

// commentaryURL leads to one node's commentary of a month.
func commentaryURL(month, code string) string {
	return commentaryPath + "/" + month + "/" + url.PathEscape(code)
}
