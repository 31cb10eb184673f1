/* ledger_sql.h - the statements of the ledger thread. Private to
 * store/ledger*.c. */
#ifndef STORE_LEDGER_SQL_H
#define STORE_LEDGER_SQL_H

/* When the oldest queued instance of destination ?1 was received: the lowest
 * id of each priority, and priorities are few. */
#define LEDGER_SQL_OLDEST                                                      \
	"WITH RECURSIVE p(v) AS ("                                             \
	" SELECT max(priority) FROM deliveries INDEXED BY deliveries_open"     \
	"  WHERE destination=?1 AND state=0 AND state<=2"                      \
	" UNION ALL SELECT (SELECT max(priority) FROM deliveries"              \
	"  INDEXED BY deliveries_open WHERE destination=?1 AND state=0"        \
	"  AND state<=2 AND priority<p.v) FROM p WHERE p.v IS NOT NULL)"       \
	"SELECT min(i.received_ms) FROM p JOIN instances i ON i.seq="          \
	"(SELECT id>>5 FROM deliveries INDEXED BY deliveries_open"             \
	" WHERE destination=?1 AND state=0 AND state<=2 AND priority=p.v"      \
	" ORDER BY id LIMIT 1) WHERE p.v IS NOT NULL"

/* last_error of what was delivered with a warning. */
#define LEDGER_FLAGGED "delivered, flagged by the destination"

/* Of instance i; most are no messages. */
#define LEDGER_SQL_TRANSACTION                                                 \
	"CASE WHEN i.command IS NOT NULL THEN (SELECT m.transaction_uid "      \
	"FROM messages m WHERE m.seq=i.seq) END"

/* Kept prepared on the one connection. */
#define LEDGER_SQL(X)                                                          \
	X(BEGIN, "BEGIN IMMEDIATE")                                            \
	X(COMMIT, "COMMIT")                                                    \
	X(STATE, "UPDATE spool_state SET applied=?1, resume=?2, "              \
		 "applied_ms=?3, instances=?4, association=?5")                \
	X(SYNCED, "UPDATE spool_state SET synced=applied")                     \
	X(KIND, "INSERT INTO kinds VALUES(?,?,?)")                             \
	X(ORIGIN, "INSERT INTO origins VALUES(?,?,?,?,?,?,?,0)")               \
	X(ORIGIN_COUNT,                                                        \
	  "UPDATE origins SET instances=instances+?2 WHERE id=?1")             \
	X(SERIES, "INSERT INTO series(id,study,series,modality,first,"         \
		  "identity,accession,patient,device,calling_ae,first_ms) "    \
		  "VALUES(?,?,?,?,?,?,?,?,?,?,?)")                             \
	X(SERIES_COUNT,                                                        \
	  "UPDATE series SET instances=instances+?2,bytes=bytes+?3,"           \
	  "first_ms=min(first_ms,?4),last_ms=max(last_ms,?5) WHERE id=?1")     \
	X(BLOCK, "INSERT INTO blocks VALUES(?1,?2,?3) ON CONFLICT(block) "     \
		 "DO UPDATE SET first_ms=min(first_ms,?2),"                    \
		 "last_ms=max(last_ms,?3)")                                    \
	X(MARK, "INSERT OR IGNORE INTO marks VALUES(?,?,?)")                   \
	X(OWED_ADD, "INSERT INTO owed VALUES(?1,?2,?3,?4,?5,?6,?7,?8) "        \
		    "ON CONFLICT(run,kind,whom,series) DO UPDATE SET "         \
		    "instances=instances+?5,bytes=bytes+?6,"                   \
		    "first_ms=min(first_ms,?7),last_ms=max(last_ms,?8)")       \
	X(OWED_END, "DELETE FROM owed WHERE run=?1 AND kind=0 AND whom IN "    \
		    "(SELECT id FROM origins WHERE association=?2)")           \
	X(OWED_RECEIVED, "SELECT w.whom,w.series,w.instances,w.bytes "         \
			 "FROM owed w CROSS JOIN series s ON s.id=w.series "   \
			 "WHERE w.run=?1 AND w.kind=0 AND w.whom IN "          \
			 "(SELECT id FROM origins WHERE association=?2) "      \
			 "AND s.study=?3 LIMIT 64")                            \
	X(OWED_SENT, "SELECT w.whom,w.series,w.instances,w.bytes "             \
		     "FROM owed w CROSS JOIN series s ON s.id=w.series "       \
		     "WHERE w.run=?1 AND w.kind=1 AND w.whom=?2 "              \
		     "AND s.study=?3 LIMIT 64")                                \
	X(OWED_DROP, "DELETE FROM owed "                                       \
		     "WHERE run=?1 AND kind=?2 AND whom=?3 AND series=?4")     \
	X(OWED_LESS, "UPDATE owed SET instances=instances-?5,bytes=bytes-?6 "  \
		     "WHERE run=?1 AND kind=?2 AND whom=?3 AND series=?4")     \
	X(BLIND_NEXT, "SELECT id,identity FROM series WHERE id<=? "            \
		      "ORDER BY id DESC LIMIT ?")                              \
	X(BLIND_SET, "UPDATE series SET accession=?2,patient=?3 WHERE id=?1")  \
	X(BLIND_NOTE, "UPDATE search_state SET unready=?")                     \
	X(ROLLUP_NAME, "INSERT INTO rollup_names VALUES(?,?,?)")               \
	X(ROLLUP_GET, "SELECT data FROM rollups WHERE slot>=? AND slot<? "     \
		      "ORDER BY slot")                                         \
	X(ROLLUP_SET, "INSERT OR REPLACE INTO rollups VALUES(?,?)")            \
	X(ROLLUP_PRUNE, "DELETE FROM rollups WHERE slot IN (SELECT slot "      \
			"FROM rollups WHERE slot>=? AND slot<? "               \
			"ORDER BY slot LIMIT 2)")                              \
	X(DESTINATION, "INSERT INTO destinations(id,name) VALUES(?,?)")        \
	X(DESTINATION_ERROR,                                                   \
	  "UPDATE destinations SET error=?2, error_ms=?3 WHERE id="            \
	  "(SELECT destination FROM deliveries WHERE id=?1)")                  \
	X(TOTAL, "INSERT OR REPLACE INTO totals VALUES(?,?,?,?,?)")            \
	X(DEVICE, "INSERT OR REPLACE INTO devices VALUES(?,?,?,?,?)")          \
	X(INSTANCE, "INSERT INTO instances VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,"  \
		    "?,?,?,?,?,?)")                                            \
	X(INSTANCE_GET, "SELECT transfer, length, command, link_owner,series " \
			"FROM instances WHERE seq=?")                          \
	X(INSTANCE_LAST, "SELECT transfer FROM instances WHERE seq=?")         \
	X(DELIVERY, "INSERT INTO deliveries(id,destination,state,priority,"    \
		    "attempts,next_attempt_ms,remote_status,changed_ms,"       \
		    "uid_hash,last_error,commits) "                            \
		    "VALUES(?,?,?,?,0,0,-1,?,?,?,?)")                          \
	X(DELIVERIES_OF,                                                       \
	  "SELECT id,destination,state,priority,attempts,remote_status,"       \
	  "uid_hash,outcome_segment,target,last_error,changed_ms,commits "     \
	  "FROM deliveries WHERE id>=?1 AND id<?1+32")                         \
	X(DELIVERY_SET,                                                        \
	  "UPDATE deliveries SET state=?2,attempts=?3,next_attempt_ms=0,"      \
	  "remote_status=?4,changed_ms=?5,outcome_segment=?6,target=?7,"       \
	  "last_error=?8 WHERE id=?1")                                         \
	X(DELIVERY_PIN,                                                        \
	  "UPDATE deliveries SET outcome_segment=?2 WHERE id=?1")              \
	X(ATTEMPT, "UPDATE deliveries SET attempts=?2,next_attempt_ms=?3,"     \
		   "remote_status=?4,last_error=?5 "                           \
		   "WHERE id=?1 AND (state<=2 OR state=8)")                    \
	X(TWIN, "INSERT OR IGNORE INTO twins VALUES(?,?)")                     \
	X(TWIN_IS, "SELECT 1 FROM twins WHERE key=? AND delivery=?")           \
	X(TWINS_OF, "SELECT count(*), min(delivery) FROM twins WHERE key=?")   \
	X(TWIN_DELETE, "DELETE FROM twins WHERE key=? AND delivery=?")         \
	X(CHUNK, "INSERT INTO chunks VALUES(?,?,?,?,?)")                       \
	X(CHUNKS_OF, "SELECT idx,segment,offset,length FROM chunks "           \
		     "WHERE instance=? AND idx>=? ORDER BY idx LIMIT ?")       \
	X(CHUNK_MOVE, "UPDATE chunks SET segment=?3, offset=?4 "               \
		      "WHERE instance=?1 AND idx=?2")                          \
	X(CHUNKS_DELETE, "DELETE FROM chunks WHERE instance=?")                \
	X(DAMAGE, "INSERT OR IGNORE INTO damage(found_ms,segment,offset,"      \
		  "bytes,certain,transfer,text) VALUES(?,?,?,?,?,?,?)")        \
	X(FETCH_PRIORITY,                                                      \
	  "SELECT max(priority) FROM deliveries INDEXED BY deliveries_open "   \
	  "WHERE destination=?1 AND state=?2 AND state<=2 AND priority<?3")    \
	X(FETCH, "SELECT id,next_attempt_ms,uid_hash "                         \
		 "FROM deliveries INDEXED BY deliveries_open "                 \
		 "WHERE destination=?1 AND state=?2 AND state<=2 "             \
		 "AND priority=?3 AND id>?4 ORDER BY id LIMIT ?5")             \
	X(FETCH_UNCOMMITTED,                                                   \
	  "SELECT id,next_attempt_ms,uid_hash FROM deliveries "                \
	  "INDEXED BY deliveries_uncommitted "                                 \
	  "WHERE destination=?1 AND state=6 AND id>?2 ORDER BY id LIMIT ?3")   \
	X(FETCH_ARRIVED, "SELECT id,0,uid_hash FROM deliveries "               \
			 "INDEXED BY deliveries_arrived "                      \
			 "WHERE destination=?1 AND state=8 AND id>?2 "         \
			 "ORDER BY id LIMIT ?3")                               \
	X(ITEM, "SELECT d.priority,d.attempts,i.transfer,i.received_ms,"       \
		"i.dicom_priority,i.length,i.chunks,i.root,i.move_id,"         \
		"i.move_originator,i.sop_instance,k.sop_class,"                \
		"k.transfer_syntax,o.association,o.listener,o.device,"         \
		"o.calling_ae,o.called_ae,s.study,c.segment,c.offset,"         \
		"i.command,i.type," LEDGER_SQL_TRANSACTION " "                 \
		"FROM deliveries d JOIN instances i ON i.seq=d.id>>5 "         \
		"JOIN kinds k ON k.id=i.kind JOIN origins o ON o.id=i.origin " \
		"JOIN series s ON s.id=i.series "                              \
		"LEFT JOIN chunks c ON c.instance=i.seq AND c.idx=0 "          \
		"WHERE d.id=?")                                                \
	X(OLDEST, LEDGER_SQL_OLDEST)                                           \
	X(ASSOCIATION, "INSERT OR REPLACE INTO associations(id,direction,"     \
		       "party,device,peer,local,calling_ae,called_ae,"         \
		       "impl_class,impl_version,max_pdu,tls_version,"          \
		       "tls_suite,tls_group,fingerprint,subject,begun_ms,"     \
		       "result,n_contexts) VALUES"                             \
		       "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")              \
	X(ASSOCIATION_END, "UPDATE associations SET ended_ms=?2,"              \
			   "duration_ns=?3,bytes_in=?4,bytes_out=?5,"          \
			   "stores=?6,echos=?7,others=?8,failures=?9,why=?10 " \
			   "WHERE id=?1")                                      \
	X(CONTEXT, "INSERT OR REPLACE INTO contexts VALUES(?,?,?,?,?,?)")      \
	X(REFUSAL_ADD, "INSERT INTO refusals(first_ms,last_ms,count,"          \
		       "listener,peer,calling_ae,called_ae,reason,remedy) "    \
		       "VALUES(?1,?1,1,?2,?3,?4,?5,?6,?7)")                    \
	X(REFUSAL_AGAIN, "UPDATE refusals SET count=count+?2,last_ms=?3 "      \
			 "WHERE id=?1")                                        \
	X(OPERATION, "INSERT INTO operations VALUES"                           \
		     "(NULL,?,?,?,?,?,?,?,?,?,?,?,?,?)")                       \
	X(MESSAGE, "INSERT INTO messages VALUES(?,?,?,1)")                     \
	X(MESSAGE_SHUT, "UPDATE messages SET open=0 WHERE seq=?")              \
	X(OWNER, "INSERT INTO link_owners VALUES(?,?)")                        \
	X(LINK_FIND, "SELECT seq FROM instances INDEXED BY instances_link "    \
		     "WHERE link_owner=? AND link_id=? "                       \
		     "ORDER BY seq DESC LIMIT 1")                              \
	X(LINK_ROW, "SELECT transfer,length,chunks,root,link_owner,link_id,"   \
		    "link_noted FROM instances WHERE seq=?")                   \
	X(LINK_STATE, "UPDATE instances SET link_state=?2 WHERE seq=?1 "       \
		      "AND link_state<>?2")                                    \
	X(LINK_NOTED, "UPDATE instances SET link_noted=1 "                     \
		      "WHERE link_owner=? AND link_id=? AND link_state=2")     \
	X(LINK_UNTOLD,                                                         \
	  "SELECT i.seq FROM instances i INDEXED BY instances_untold "         \
	  "WHERE i.link_owner=?1 AND i.seq>?2 AND i.link_state>=2 "            \
	  "AND i.link_noted=0 AND NOT EXISTS (SELECT 1 FROM instances n "      \
	  "WHERE n.link_owner=i.link_owner AND n.link_id=i.link_id "           \
	  "AND n.seq>i.seq) ORDER BY i.seq LIMIT ?3")                          \
	X(CAPABILITY, "INSERT OR REPLACE INTO capabilities "                   \
		      "VALUES(?,?,?,?,?,?,?,?)")

enum ledger_st {
#define X(name, sql) ST_##name,
	LEDGER_SQL(X)
#undef X
	    ST_N
};

#endif
