// Package luci holds the checks of the LuCI app that need no browser: its pure
// modules on the daemon's own replies, its roles, menu, forms and words against
// each other, and LuCI's lint rules. They are Node programs; the Go tests run them
// so that one report has all results.
package luci
