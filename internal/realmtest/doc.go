// Package realmtest starts throw-away Kerberos realms for tests: MIT's KDC, with
// its database in a file or in a private LDAP server, and Samba's Active
// Directory; and it drives GSS-API peers that none of us wrote.
//
// A peer that is not installed skips the test by name. With WINRMKIT_INTEROP=1
// that is a failure. Debian's packages: krb5-kdc krb5-admin-server krb5-user
// krb5-kdc-ldap slapd ldap-utils python3-gssapi; for Active Directory, as root:
// samba-ad-dc samba-ad-provision samba-dsdb-modules winbind (4.22), ldb-tools,
// util-linux, openssl.
package realmtest
