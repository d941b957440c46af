// Package cmdline writes Windows command lines.
//
// Windows hands a process one string. Who cuts it into arguments, and how,
// depends on what is started:
//
//   - A program reads it by the rules of CommandLineToArgvW and of Microsoft's
//     C runtime ([Program]). Everything but NUL can be carried.
//   - Through cmd.exe ([Shell]) the same string is first read by an interpreter
//     in which & | < > ^ ( ) % ! and " mean something.
//   - A batch file gets the text of the line and puts it into further lines;
//     a command built into cmd.exe reads it as it pleases. Neither has a way to
//     be given every text, so [Shell] refuses what it cannot carry exactly
//     rather than letting it mean something else (CERT VU#123335).
//
// Sources: "Parsing C++ command-line arguments" and "Everyone quotes command
// line arguments the wrong way" (both Microsoft), the help text of cmd.exe,
// and what the repairs of CVE-2024-24576 and CVE-2024-43402 settled.
package cmdline
