//go:build tools

// Pins the load tool that demo and bench use: Debian's package of the same
// name is another program. Nothing is compiled from this file.
package tools

import _ "github.com/codesenberg/bombardier"
