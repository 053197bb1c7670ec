// Package config turns the text of the UCI file /etc/config/remsim into a
// checked Config. It owns the table of all options (Options), the rules between
// them, what each setting costs, and the last accepted text. All errors are
// reported at once, each with section, option, value and what is accepted.
//
// The way of a text: scan (libuci's rules, or a refusal with its place) ->
// go-uci reads it from a private copy -> the option table checks each value ->
// the rules between sections are checked -> Config.
//
// It never writes to /etc/config, never opens a device or a socket, and never
// reads the files that options name.
package config
