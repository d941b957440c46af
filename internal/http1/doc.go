// Package http1 makes HTTP/1.1 exchanges on a connection that its caller owns.
//
// WinRM authenticates the TCP connection, so one exchange after the other has to
// go over the very connection that was logged on, and a request that was lost
// must not be sent again behind the caller's back. net/http hides the
// connection; here it is the object. The subset is what a WinRM listener and a
// CONNECT proxy speak:
//
//   - a request is head and body with an explicit length, written at once;
//   - a response is read whole, with bounds on head, body and interim
//     responses; no compression, and no body that ends with the connection;
//   - an [Error] tells whether the request can have been processed.
//
// Reading rests on http.ReadResponse. See [RFC 9112].
//
// [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112
package http1
