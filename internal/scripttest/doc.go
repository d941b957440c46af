// Package scripttest holds the PowerShell that this module sends to hosts to two
// grammars that none of us wrote, tree-sitter-powershell and tree-sitter-pwsh:
// each text has to parse, to use nothing that came after the version of
// PowerShell that it claims to run on, and to keep clear of what has bitten
// scripts before. No PowerShell is needed for that, and none is replaced by it.
//
// The grammars are those of an editor, and narrower than PowerShell in places.
// What we found of that, by examples that are in the tests:
//
//   - They know no typographic quotes, which PowerShell takes for plain ones, and
//     no NUL in a string. Texts are parsed with plain quotes in their place, so
//     that a typographic one which ended a string is seen.
//   - Sort-Object{1},{2} needs a blank before the first brace.
//   - "$name: text", which PowerShell does not parse, is a variable and text.
//
// The second grammar grew out of the first, so that they share some of their
// judgement.
//
//	WINRMKIT_PEERS_VENV   a Python environment with the grammars
package scripttest
