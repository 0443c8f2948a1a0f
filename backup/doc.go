// Package backup is the form of a backup: files outside the database, made by one release
// and read by a later one.
//
// It owns the three files of a backup and their checks. NAME.zip holds every table at one
// instant, the gateways' journals and a manifest with the digest of each file, sealed with
// a key derived from the master key. NAME.keys.age holds what opens them: master keys, the
// log's seed, the keys of persons and pseudonyms, and which of those were destroyed. It is
// encrypted to a passphrase or to recipients (age) and belongs elsewhere.
// NAME.checkpoints holds the newest signed head of each tenant's log and is no secret; it
// belongs where nobody who can change the database can change it.
//
// It does not own what the rows mean, how they are read and written (db), how a journal is
// read (gateway/journal), nor the order of a restore (package main).
//
// Invariants: a file has its name only when it is whole; no key is ever in the zip, and
// none is written unencrypted; nothing is handed out of a zip whose manifest the keys do
// not vouch for, and what is read of a file is refused at its end when its digest is
// another; reading is bounded by what the manifest says.
//
// Words: key tables are those whose rows are keys of people; they go into the keys' file
// alone, so that a key that was destroyed is in no older copy of the data.
package backup
