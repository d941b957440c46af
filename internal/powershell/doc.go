// Package powershell knows how scripts are handed to powershell.exe and pwsh
// through a remote shell, and what they hand back besides their output. It has
// both sides: the client's, which builds command lines, and that of the test
// server, which takes them apart.
//
// A script is never run as it is. A few lines around it, the frame, set the
// encoding and the preferences, take the arguments, run the script as a script
// block of its own and report how it ended. The frame travels in the command
// line (-EncodedCommand). The script travels
//
//	inline  in the frame, as a quoted string: when it is short and has no arguments
//	object  on stdin, with its arguments, as one line of JSON in ASCII
//	lines   the same, and further lines of stdin are the script's $input
//	raw     on stdin, after its length, and further bytes of stdin are the script's
//
// PowerShell itself reads stdin only for frames that mention $input; the frame of
// raw must not, or two readers would share the bytes.
//
// In constrained language mode the frames inline and object work, without
// structured errors; methods of .NET, which the others need, are forbidden there.
package powershell
