/* migrations_sql.c - the schemas as SQL. Never change a script that was
 * released: add another at the end.
 *
 * Sizes decide: at a million instances a day an index on a random value costs
 * a page write for each row. So everything here is keyed by the spool's
 * sequence, which only grows; the one index that a delivery leaves and enters
 * is partial, on what is not finished. */
#include "proxy/lib/mem.h"
#include "store/migrations.h"

#define TIME(column)                                                           \
	"strftime('%Y-%m-%dT%H:%M:%fZ'," column "/1000.0,'unixepoch')"

/* The formatter would cut the text to pieces. */
/* clang-format off */

/* An instance's seq is the sequence of its final spool record, a delivery's id
 * is seq * 32 + n: so both come back the same from a rebuild. */
static const char ledger_1[] =
    "CREATE TABLE spool_state("
    " one INTEGER PRIMARY KEY CHECK(one=1),"
    " spool_id BLOB NOT NULL,"
    " applied INTEGER NOT NULL," /* every record up to here is in */
    " resume INTEGER NOT NULL,"  /* tail from here: unfinished transfers */
    " rebuilt INTEGER NOT NULL," /* what the spool held at the start */
    " applied_ms INTEGER NOT NULL,"
    " synced INTEGER NOT NULL,"
    " instances INTEGER NOT NULL,"
    " association INTEGER NOT NULL);" /* highest number given */

    "CREATE TABLE kinds("
    " id INTEGER PRIMARY KEY,"
    " sop_class TEXT NOT NULL, transfer_syntax TEXT NOT NULL,"
    " UNIQUE(sop_class, transfer_syntax));"

    "CREATE TABLE origins("
    " id INTEGER PRIMARY KEY,"
    " association INTEGER NOT NULL,"
    " listener TEXT, device TEXT, peer TEXT, calling_ae TEXT, called_ae TEXT,"
    " instances INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX origins_association ON origins(association);"

    "CREATE TABLE series("
    " id INTEGER PRIMARY KEY,"
    " study TEXT, series TEXT, modality TEXT,"
    " first INTEGER NOT NULL," /* seq of the first instance */
    " identity BLOB);"         /* sealed: accession, patient id and name */

    "CREATE TABLE destinations("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " error TEXT, error_ms INTEGER);"
    "CREATE TABLE totals("
    " destination INTEGER NOT NULL, state INTEGER NOT NULL,"
    " count INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " last_ms INTEGER NOT NULL,"
    " PRIMARY KEY(destination, state)) WITHOUT ROWID;"
    "CREATE TABLE devices("
    " name TEXT PRIMARY KEY, last_ms INTEGER NOT NULL,"
    " instances INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " associations INTEGER NOT NULL) WITHOUT ROWID;"

    "CREATE TABLE instances("
    " seq INTEGER PRIMARY KEY,"
    " transfer BLOB NOT NULL,"
    " received_ms INTEGER NOT NULL,"
    " origin INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " series INTEGER NOT NULL,"
    " sop_instance TEXT NOT NULL,"
    " dicom_priority INTEGER NOT NULL,"
    " length INTEGER NOT NULL, chunks INTEGER NOT NULL,"
    " root BLOB NOT NULL,"
    " move_id INTEGER, move_originator TEXT);"

    "CREATE TABLE deliveries("
    " id INTEGER PRIMARY KEY,"
    " destination INTEGER NOT NULL,"
    " state INTEGER NOT NULL,"
    " priority INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " next_attempt_ms INTEGER NOT NULL,"
    " remote_status INTEGER NOT NULL,"
    " changed_ms INTEGER NOT NULL,"
    " uid_hash INTEGER NOT NULL,"
    " outcome_segment INTEGER," /* of its last outcome, if needed */
    " target TEXT,"             /* redirected to */
    " last_error TEXT);"
    "CREATE INDEX deliveries_open ON deliveries("
    " destination, state, priority DESC, id, next_attempt_ms, uid_hash)"
    " WHERE state<=2;"
    "CREATE INDEX deliveries_outcome ON deliveries(outcome_segment)"
    " WHERE outcome_segment IS NOT NULL;"

    /* Second and later open deliveries of one UID to one destination. */
    "CREATE TABLE twins("
    " key INTEGER NOT NULL, delivery INTEGER NOT NULL,"
    " PRIMARY KEY(key, delivery)) WITHOUT ROWID;"

    "CREATE TABLE chunks("
    " instance INTEGER NOT NULL, idx INTEGER NOT NULL,"
    " segment INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " length INTEGER NOT NULL,"
    " PRIMARY KEY(instance, idx)) WITHOUT ROWID;"

    "CREATE TABLE damage("
    " id INTEGER PRIMARY KEY, found_ms INTEGER NOT NULL,"
    " segment INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, certain INTEGER NOT NULL,"
    " transfer BLOB, text TEXT,"
    " UNIQUE(segment, offset));"

    /* Posted, not from the spool: lost with the database. */
    "CREATE TABLE associations("
    " id INTEGER PRIMARY KEY,"
    " direction INTEGER NOT NULL," /* 0 in, 1 out */
    " party TEXT, device TEXT, peer TEXT, local TEXT,"
    " calling_ae TEXT, called_ae TEXT,"
    " impl_class TEXT, impl_version TEXT, max_pdu INTEGER,"
    " tls_version TEXT, tls_suite TEXT, tls_group TEXT,"
    " fingerprint TEXT, subject TEXT,"
    " begun_ms INTEGER NOT NULL, result TEXT, n_contexts INTEGER,"
    " ended_ms INTEGER, duration_ns INTEGER,"
    " bytes_in INTEGER, bytes_out INTEGER,"
    " stores INTEGER, echos INTEGER, others INTEGER, failures INTEGER,"
    " why TEXT);"
    "CREATE TABLE contexts("
    " association INTEGER NOT NULL, id INTEGER NOT NULL,"
    " result INTEGER NOT NULL, abstract TEXT, accepted TEXT,"
    " proposed TEXT,"
    " PRIMARY KEY(association, id)) WITHOUT ROWID;"
    "CREATE TABLE refusals("
    " id INTEGER PRIMARY KEY,"
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " count INTEGER NOT NULL,"
    " listener TEXT, peer TEXT, calling_ae TEXT, called_ae TEXT,"
    " reason TEXT, remedy TEXT);"
    "CREATE TABLE capabilities("
    " destination TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " calling_ae TEXT NOT NULL, called_ae TEXT NOT NULL,"
    " abstract TEXT NOT NULL, transfer_syntax TEXT NOT NULL,"
    " accepted INTEGER NOT NULL, checked_ms INTEGER NOT NULL,"
    " PRIMARY KEY(destination, endpoint, calling_ae, called_ae, abstract,"
    "  transfer_syntax)) WITHOUT ROWID;"

    /* For people with the sqlite3 shell. */
    "CREATE TABLE state_names(state INTEGER PRIMARY KEY, name TEXT);"
    "INSERT INTO state_names "
    "VALUES(0,'queued'),(1,'held'),(2,'quarantined'),"
    " (3,'delivered'),(4,'withdrawn'),(5,'discarded');"
    "CREATE VIEW v_deliveries AS SELECT"
    " d.id AS delivery, lower(hex(i.transfer)) AS transfer,"
    " t.name AS destination, n.name AS state, d.priority, d.attempts,"
    " " TIME("i.received_ms") " AS received,"
    " " TIME("d.changed_ms") " AS changed,"
    " CASE WHEN d.next_attempt_ms>0 THEN " TIME("d.next_attempt_ms")
    " END AS next_attempt,"
    " CASE WHEN d.remote_status>=0 THEN printf('%04X',d.remote_status)"
    " END AS remote_status,"
    " d.last_error, o.listener, o.device, o.peer, o.calling_ae, o.called_ae,"
    " k.sop_class, i.sop_instance, k.transfer_syntax, s.study, s.series,"
    " s.modality, i.length, lower(hex(i.root)) AS root, o.association"
    " FROM deliveries d JOIN instances i ON i.seq=d.id>>5"
    " JOIN destinations t ON t.id=d.destination"
    " JOIN state_names n ON n.state=d.state"
    " JOIN kinds k ON k.id=i.kind"
    " JOIN origins o ON o.id=i.origin"
    " JOIN series s ON s.id=i.series;"
    "CREATE VIEW v_queue AS SELECT * FROM v_deliveries"
    " WHERE state IN ('queued','held','quarantined');"
    "CREATE VIEW v_associations AS SELECT"
    " id, CASE direction WHEN 0 THEN 'in' ELSE 'out' END AS direction,"
    " party, device, peer, local, calling_ae, called_ae, result,"
    " " TIME("begun_ms") " AS begun, " TIME("ended_ms") " AS ended,"
    " duration_ns/1e9 AS seconds, n_contexts, stores, echos, others,"
    " failures, bytes_in, bytes_out, why, tls_version, tls_suite,"
    " tls_group, fingerprint, subject, impl_class, impl_version"
    " FROM associations;"
    "CREATE VIEW v_refusals AS SELECT"
    " id, " TIME("first_ms") " AS first, " TIME("last_ms") " AS last,"
    " count, listener, peer, calling_ae, called_ae, reason, remedy"
    " FROM refusals;";

/* Messages beside instances, commitment, relayed operations. */
static const char ledger_2[] =
    /* NULL for an instance. */
    "ALTER TABLE instances ADD COLUMN command INTEGER;"
    "ALTER TABLE instances ADD COLUMN type INTEGER;"
    /* 1: its destination must commit before the bytes may go. */
    "ALTER TABLE deliveries ADD COLUMN commits INTEGER;"
    "CREATE INDEX deliveries_uncommitted ON deliveries(destination, id)"
    " WHERE state=6;"

    "CREATE TABLE messages("
    " seq INTEGER PRIMARY KEY,"
    " command INTEGER NOT NULL,"
    " transaction_uid TEXT,"
    " open INTEGER NOT NULL);" /* 0: every delivery is done */
    "CREATE INDEX messages_transaction ON messages(transaction_uid, seq)"
    " WHERE transaction_uid IS NOT NULL;"
    "CREATE INDEX messages_open ON messages(seq) WHERE open=1;"

    /* Posted, not from the spool: lost with the database. */
    "CREATE TABLE operations("
    " id INTEGER PRIMARY KEY,"
    " association INTEGER NOT NULL,"
    " destination TEXT, device TEXT,"
    " from_destination INTEGER NOT NULL,"
    " command INTEGER NOT NULL, sop_class TEXT, sop_instance TEXT,"
    " status INTEGER NOT NULL," /* -1: no final response */
    " responses INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " begun_ms INTEGER NOT NULL, duration_ns INTEGER NOT NULL,"
    " count INTEGER NOT NULL);" /* requests alike */
    "CREATE INDEX operations_association ON operations(association, id);"

    "INSERT INTO state_names VALUES(6,'uncommitted'),(7,'committed');"
    "CREATE TABLE command_names(command INTEGER PRIMARY KEY, name TEXT);"
    "INSERT INTO command_names VALUES(1,'C-STORE'),(16,'C-GET'),"
    " (32,'C-FIND'),(33,'C-MOVE'),(48,'C-ECHO'),(256,'N-EVENT-REPORT'),"
    " (272,'N-GET'),(288,'N-SET'),(304,'N-ACTION'),(320,'N-CREATE'),"
    " (336,'N-DELETE');"
    "DROP VIEW v_queue;"
    "CREATE VIEW v_queue AS SELECT * FROM v_deliveries"
    " WHERE state IN ('queued','held','quarantined','uncommitted');"
    "CREATE VIEW v_messages AS SELECT"
    " m.seq, n.name AS message, i.type, m.transaction_uid,"
    " d.id AS delivery, t.name AS destination, s.name AS state,"
    " " TIME("i.received_ms") " AS received, d.last_error, o.device,"
    " o.calling_ae, o.called_ae, k.sop_class, i.sop_instance"
    " FROM messages m JOIN instances i ON i.seq=m.seq"
    " JOIN deliveries d ON d.id BETWEEN m.seq*32 AND m.seq*32+31"
    " JOIN destinations t ON t.id=d.destination"
    " JOIN state_names s ON s.state=d.state"
    " JOIN kinds k ON k.id=i.kind"
    " JOIN origins o ON o.id=i.origin"
    " LEFT JOIN command_names n ON n.command=m.command;"
    "CREATE VIEW v_operations AS SELECT"
    " p.id, p.association, p.device, p.destination,"
    " CASE p.from_destination WHEN 0 THEN 'device' ELSE 'destination' END"
    " AS asked_by, n.name AS operation, p.sop_class, p.sop_instance,"
    " CASE WHEN p.status>=0 THEN printf('%04X',p.status) END AS status,"
    " p.count, p.responses, p.bytes, " TIME("p.begun_ms") " AS begun,"
    " p.duration_ns/1e9 AS seconds"
    " FROM operations p LEFT JOIN command_names n ON n.command=p.command;";

/* What came over a link, and what has arrived at the far end of one. */
static const char ledger_3[] =
    "CREATE TABLE link_owners("
    " id INTEGER PRIMARY KEY, owner BLOB NOT NULL UNIQUE);"
    /* NULL unless it came over a link. */
    "ALTER TABLE instances ADD COLUMN link_owner INTEGER;"
    "ALTER TABLE instances ADD COLUMN link_id BLOB;" /* its name there */
    "ALTER TABLE instances ADD COLUMN link_state INTEGER;"
    "ALTER TABLE instances ADD COLUMN link_noted INTEGER;" /* 1: it knows */
    "CREATE INDEX instances_link ON instances(link_owner, link_id)"
    " WHERE link_owner IS NOT NULL;"
    "CREATE INDEX instances_untold ON instances(link_owner)"
    " WHERE link_state>=2 AND link_noted=0;"
    "CREATE INDEX deliveries_arrived ON deliveries(destination, id)"
    " WHERE state=8;"

    "INSERT INTO state_names VALUES(8,'arrived');"
    "DROP VIEW v_queue;"
    "CREATE VIEW v_queue AS SELECT * FROM v_deliveries"
    " WHERE state IN ('queued','held','quarantined','uncommitted','arrived');"
    "CREATE VIEW v_links AS SELECT"
    " i.seq, lower(hex(i.transfer)) AS transfer,"
    " lower(hex(w.owner)) AS owner, lower(hex(i.link_id)) AS far_transfer,"
    " CASE i.link_state WHEN 1 THEN 'arrived' WHEN 2 THEN 'delivered'"
    " WHEN 3 THEN 'stuck' ELSE 'taken back' END AS state,"
    " CASE i.link_noted WHEN 1 THEN 'yes' ELSE 'no' END AS noted,"
    " o.device, i.sop_instance, i.length, " TIME("i.received_ms") " AS received"
    " FROM instances i JOIN link_owners w ON w.id=i.link_owner"
    " JOIN origins o ON o.id=i.origin;";

/* Search, and figures over time. ledger_search.h, ledger_block.h and
 * ledger_rollup.h say why there is so little of it.
 *
 * By series and not by instance: a series has a hundred rows. instances_series
 * is the one index that each instance enters, beside the last one of its
 * series. What blocks hold, and the sums of series, are made here for the rows
 * that are there: some seconds a million. Their blind values need the key: the
 * ledger thread fills them in, from unready downward. */
static const char ledger_4[] =
    "ALTER TABLE series ADD COLUMN accession INTEGER;" /* blind */
    "ALTER TABLE series ADD COLUMN patient INTEGER;"   /* blind */
    "ALTER TABLE series ADD COLUMN device TEXT;" /* of its first instance */
    "ALTER TABLE series ADD COLUMN calling_ae TEXT;" /* likewise */
    "ALTER TABLE series ADD COLUMN instances INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE series ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE series ADD COLUMN first_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE series ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX instances_series ON instances(series);"
    "UPDATE series SET (instances,bytes,first_ms,last_ms)="
    " (SELECT count(*),coalesce(sum(length),0),"
    "  coalesce(min(received_ms),0),coalesce(max(received_ms),0)"
    "  FROM instances INDEXED BY instances_series WHERE series=series.id),"
    " (device,calling_ae)="
    " (SELECT o.device,o.calling_ae FROM instances i"
    "  JOIN origins o ON o.id=i.origin WHERE i.seq=series.first);"
    "CREATE INDEX series_first ON series(first) WHERE study IS NOT NULL;"
    "CREATE INDEX series_study ON series(study,first)"
    " WHERE study IS NOT NULL;"
    "CREATE INDEX series_device ON series(device,first)"
    " WHERE study IS NOT NULL AND device IS NOT NULL;"
    "CREATE INDEX series_accession ON series(accession)"
    " WHERE accession IS NOT NULL;"
    "CREATE INDEX series_patient ON series(patient)"
    " WHERE patient IS NOT NULL;"
    "CREATE INDEX associations_out ON associations(party,begun_ms)"
    " WHERE direction=1;"

    "CREATE TABLE search_state("
    " one INTEGER PRIMARY KEY CHECK(one=1),"
    " unready INTEGER NOT NULL);" /* series up to here have no values yet */
    "INSERT INTO search_state SELECT 1,coalesce(max(id),0) FROM series;"

    "CREATE TABLE blocks("
    " block INTEGER PRIMARY KEY," /* of 1024 sequence numbers */
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL);"
    "INSERT INTO blocks SELECT seq>>10,min(received_ms),max(received_ms)"
    " FROM instances GROUP BY 1;"
    "CREATE TABLE marks("
    " kind INTEGER NOT NULL," /* device, calling AE, destination, state */
    " name TEXT NOT NULL, block INTEGER NOT NULL,"
    " PRIMARY KEY(kind,name,block)) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO marks SELECT 1,o.device,i.seq>>10"
    " FROM instances i JOIN origins o ON o.id=i.origin"
    " WHERE o.device IS NOT NULL;"
    "INSERT OR IGNORE INTO marks SELECT 2,o.calling_ae,i.seq>>10"
    " FROM instances i JOIN origins o ON o.id=i.origin"
    " WHERE o.calling_ae IS NOT NULL;"
    "INSERT OR IGNORE INTO marks SELECT 3,t.name,d.id>>15"
    " FROM deliveries d JOIN destinations t ON t.id=d.destination;"
    "INSERT OR IGNORE INTO marks SELECT 4,state,id>>15"
    " FROM deliveries WHERE state IN (3,4,5,7);"

    /* Posted, not from the spool: lost with the database. */
    "CREATE TABLE rollup_names("
    " id INTEGER PRIMARY KEY, metric INTEGER NOT NULL, name TEXT NOT NULL,"
    " UNIQUE(metric,name));"
    "CREATE TABLE rollups("
    " slot INTEGER PRIMARY KEY," /* level, then time: ledger_rollup.c */
    " data BLOB NOT NULL);";

/* What the audit has no row of yet: ledger_owed.h. */
static const char ledger_5[] =
    "CREATE TABLE owed("
    " run INTEGER NOT NULL," /* of the process */
    " kind INTEGER NOT NULL, whom INTEGER NOT NULL,"
    " series INTEGER NOT NULL,"
    " instances INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " PRIMARY KEY(run,kind,whom,series)) WITHOUT ROWID;";

static const char audit_1[] =
    "CREATE TABLE kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE audit("
    " seq INTEGER PRIMARY KEY,"
    " wall_ms INTEGER NOT NULL, mono_ns INTEGER NOT NULL,"
    " boot TEXT," /* which boot mono_ns counts in */
    " kind INTEGER NOT NULL, outcome INTEGER NOT NULL,"
    " association INTEGER, listener TEXT, device TEXT, destination TEXT,"
    " peer TEXT, local TEXT, calling_ae TEXT, called_ae TEXT,"
    " fingerprint TEXT, study TEXT, user TEXT, detail TEXT,"
    " sealed BLOB, prev_chain BLOB, chain BLOB);"
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
    " BEGIN SELECT RAISE(ABORT,'audit is append-only'); END;"
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
    " BEGIN SELECT RAISE(ABORT,'audit is append-only'); END;"
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit"
    " WHEN EXISTS(SELECT 1 FROM audit WHERE seq=NEW.seq)"
    " BEGIN SELECT RAISE(ABORT,'audit is append-only'); END;"
    "CREATE VIEW v_audit AS SELECT"
    " a.seq, " TIME("a.wall_ms") " AS time, k.name AS event, a.outcome,"
    " a.association, a.listener, a.device, a.destination, a.peer, a.local,"
    " a.calling_ae, a.called_ae, a.fingerprint, a.study, a.user, a.detail"
    " FROM audit a LEFT JOIN kinds k ON k.kind=a.kind;";

/* The chain. Sealed values have a table of their own, so that one can be erased
 * and the rows stay as they were signed; that it was is on record: by is the
 * number of the row that says so. */
#define REFUSE(table, what, when, text)                                        \
	"CREATE TRIGGER " table "_no_" what " BEFORE " what " ON " table       \
	" " when " BEGIN SELECT RAISE(ABORT,'" text "'); END;"
#define APPEND_ONLY(table, key)                                                \
	REFUSE(table, "update", "", table " is append-only")                   \
	REFUSE(table, "delete", "", table " is append-only")                   \
	REFUSE(table, "insert",                                                \
	       "WHEN EXISTS(SELECT 1 FROM " table " WHERE " key "=NEW." key    \
	       ")",                                                            \
	       table " is append-only")

static const char audit_2[] =
    "ALTER TABLE audit ADD COLUMN commitment BLOB;"
    "ALTER TABLE audit ADD COLUMN sealed_hash BLOB;"
    "CREATE TABLE log(one INTEGER PRIMARY KEY CHECK(one=1), id BLOB NOT NULL);"
    "CREATE TABLE heads("
    " number INTEGER PRIMARY KEY, seq INTEGER NOT NULL, chain BLOB NOT NULL,"
    " wall_ms INTEGER NOT NULL, node TEXT NOT NULL, log BLOB NOT NULL,"
    " key_id BLOB NOT NULL, sig BLOB NOT NULL);"
    "CREATE TABLE sealed(seq INTEGER PRIMARY KEY, blob BLOB NOT NULL);"
    "CREATE TABLE erased(seq INTEGER PRIMARY KEY, by INTEGER NOT NULL);"
    APPEND_ONLY("log", "one")
    APPEND_ONLY("heads", "number")
    APPEND_ONLY("erased", "seq")
    REFUSE("sealed", "update", "", "sealed is append-only")
    REFUSE("sealed", "delete",
	   "WHEN NOT EXISTS(SELECT 1 FROM erased WHERE seq=OLD.seq)",
	   "an erasure is on record first")
    REFUSE("sealed", "insert",
	   "WHEN EXISTS(SELECT 1 FROM sealed WHERE seq=NEW.seq)",
	   "sealed is append-only");

/* What the page finds rows by. What is exported or verified is read without. */
static const char audit_3[] =
    "CREATE INDEX audit_kind ON audit(kind);"
    "CREATE INDEX audit_failed ON audit(seq) WHERE outcome<>0;"
    "CREATE INDEX audit_device ON audit(device) WHERE device IS NOT NULL;"
    "CREATE INDEX audit_destination ON audit(destination)"
    " WHERE destination IS NOT NULL;"
    "CREATE INDEX audit_study ON audit(study) WHERE study IS NOT NULL;"
    "CREATE INDEX audit_user ON audit(user) WHERE user IS NOT NULL;"
    "CREATE TABLE spans("
    " block INTEGER PRIMARY KEY," /* of 1024 numbers */
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL);"
    "INSERT INTO spans SELECT seq>>10,min(wall_ms),max(wall_ms)"
    " FROM audit GROUP BY 1;"
    "CREATE TRIGGER audit_spans AFTER INSERT ON audit BEGIN"
    " INSERT INTO spans VALUES(NEW.seq>>10,NEW.wall_ms,NEW.wall_ms)"
    " ON CONFLICT(block) DO UPDATE SET first_ms=min(first_ms,NEW.wall_ms),"
    " last_ms=max(last_ms,NEW.wall_ms)"
    " WHERE NEW.wall_ms<first_ms OR NEW.wall_ms>last_ms; END;";

/* audit-pruned.db */
static const char pruned_1[] =
    "CREATE TABLE last("
    " one INTEGER PRIMARY KEY CHECK(one=1), number INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, chain BLOB NOT NULL, wall_ms INTEGER NOT NULL,"
    " node TEXT NOT NULL, log BLOB NOT NULL, key_id BLOB NOT NULL,"
    " sig BLOB NOT NULL);"
    "CREATE TABLE runs("
    " first INTEGER PRIMARY KEY, last INTEGER NOT NULL, log BLOB NOT NULL,"
    " month TEXT NOT NULL, prev BLOB, chain BLOB, count INTEGER NOT NULL,"
    " head INTEGER NOT NULL, key_id BLOB NOT NULL, sig BLOB NOT NULL);"
    APPEND_ONLY("runs", "first")
    "CREATE TABLE holds("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, study TEXT, reason TEXT NOT NULL,"
    " user TEXT, since_ms INTEGER NOT NULL);"
    "CREATE TABLE clock(one INTEGER PRIMARY KEY CHECK(one=1), why TEXT);";
/* clang-format on */

static const char *const ledger_scripts[] = {ledger_1, ledger_2, ledger_3,
					     ledger_4, ledger_5};
static const char *const audit_scripts[] = {audit_1, audit_2, audit_3};
static const char *const pruned_scripts[] = {pruned_1};

const struct migrations migrations_ledger = {
    .what = "ledger",
    .application_id = 0x43764c31, /* "CvL1" */
    .scripts = ledger_scripts,
    .n = ARRAY_LEN(ledger_scripts),
};

const struct migrations migrations_audit = {
    .what = "audit",
    .application_id = 0x43764131, /* "CvA1" */
    .scripts = audit_scripts,
    .n = ARRAY_LEN(audit_scripts),
};

const struct migrations migrations_pruned = {
    .what = "audit-pruned",
    .application_id = 0x43765031, /* "CvP1" */
    .scripts = pruned_scripts,
    .n = ARRAY_LEN(pruned_scripts),
};
