// Package clixml decodes CLIXML, the XML in which PowerShell writes objects, as
// powershell.exe sends it on its error stream: blocks that begin with the line
// "#< CLIXML", between and inside of which other programs may have written
// plain text.
//
//	d := clixml.NewDecoder(func(r *clixml.Record) { ... }, func(text []byte) { ... })
//	cmd.Stderr = d
//
// A block is decoded while it arrives, an object at a time, with bounded
// memory. What is no CLIXML, or broken, is handed on as text: nothing is lost
// because it could not be read.
//
// The elements are those of [MS-PSRP] section 2.2.5, the escapes those of
// section 2.2.5.3.2.
package clixml
