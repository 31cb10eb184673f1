/* fake_scp.h - an SCP on loopback whose behaviour is scripted: storage, and
 * the DIMSE-N services, which it can also ask for itself. A thread an
 * association, blocking sockets, nothing of the code under test but the bytes
 * of the standard. */
#ifndef TESTS_UNIT_FAKE_SCP_H
#define TESTS_UNIT_FAKE_SCP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_MAX = 4096 };

enum fake_on_rq {
	FAKE_ACCEPT,
	FAKE_REJECT,     /* with fake.reject */
	FAKE_SILENT_RQ,  /* no answer */
	FAKE_CLOSE_RQ,   /* close instead of an answer */
	FAKE_GARBAGE_RQ, /* answer with what is no PDU */
};

enum fake_on_store {
	FAKE_ANSWER,       /* with fake.status */
	FAKE_ABORT,        /* A-ABORT once the data set is here */
	FAKE_CLOSE,        /* close then */
	FAKE_CRASH,        /* close every connection then */
	FAKE_SILENT,       /* no response */
	FAKE_STOP_READING, /* not even the data set */
	FAKE_GARBAGE,      /* what is no PDU */
	FAKE_EARLY,        /* fake.status after the first fragment */
};

/* What to answer to item 54, role selection (PS3.7 annex D.3.3.4). */
enum fake_on_role {
	FAKE_ROLE_OMIT,   /* nothing */
	FAKE_ROLE_GRANT,  /* as proposed */
	FAKE_ROLE_REFUSE, /* neither role */
};

enum fake_when {
	FAKE_NEVER,
	FAKE_BEFORE, /* the response to the first message, */
	FAKE_AFTER,  /* or after it */
	FAKE_DURING, /* after the first fragment of its data set */
	FAKE_HALF,   /* after it, but without its last fragment */
};

/* A request of its own. */
struct fake_ask {
	_Atomic int when;
	uint16_t field, type;
	char sop_class[65], sop_instance[65]; /* affected */
	const uint8_t *data;                  /* NULL: no data set */
	size_t length;
};

/* The answer to it. */
struct fake_answer {
	uint16_t field, type, status, responded_id;
	char sop_class[65], sop_instance[65], comment[65];
	bool mixed; /* it came amid a data set */
};

/* What came of one request with a data set, or of any DIMSE-N request. */
struct fake_store {
	char sop_class[65], sop_instance[65], originator[17];
	uint16_t field, type; /* (0000,0100); 1002 or 1008 */
	bool requested;       /* by (0000,0003) and 1001 */
	bool no_data;         /* (0000,0800) says so */
	uint16_t priority, originator_id;
	bool has_originator;
	unsigned association; /* counts from 1 */
	uint32_t largest;     /* P-DATA length */
	bool odd;             /* a fragment but the last was odd */
	size_t length;
	uint8_t *bytes; /* the first 4 MiB */
};

struct fake_scp {
	/* Set by the test, before or while it runs. */
	_Atomic int on_rq, on_store;
	_Atomic unsigned status;
	uint8_t reject[3];
	char reject_calling[17]; /* reject only this one; under lock */
	uint32_t max_pdu;        /* item 51; 0 too */
	char refuse_class[65];   /* context result 3 for this class */
	atomic_bool refuse;      /* heed refuse_class */
	char bad_instance[65];   /* on_bad instead of on_store for it */
	_Atomic int on_bad;      /* and bad_status */
	_Atomic unsigned bad_status;
	_Atomic unsigned delay_ms; /* before a response */
	_Atomic int on_role;
	_Atomic unsigned error_id; /* (0000,0903) of a response; 0: none */
	struct fake_ask ask;

	uint16_t port;
	int listener;
	pthread_t thread;
	pthread_mutex_t lock;
	_Atomic unsigned associations, open, releases, aborts, echoes;
	_Atomic unsigned at_once; /* most stores of one UID at one time: 1 */
	_Atomic size_t n_stores;
	_Atomic uint64_t data_bytes; /* of data sets, as they come */
	struct fake_store *stores;   /* FAKE_MAX; under lock while it runs */
	_Atomic unsigned n_roles;    /* items 54 of the last association */
	_Atomic uint8_t role_scu, role_scp; /* of the last of them */
	_Atomic unsigned n_answers;
	struct fake_answer answer;    /* the last one */
	char calling[17], called[17]; /* of the last association */
	char busy[64][65];            /* UIDs being received */
	int fds[256];
};

/* port 0: any. Asserts that it could listen. */
void fake_start(struct fake_scp *f, uint16_t port);
/* Close the listener and every connection, join. Stores stay. */
void fake_stop(struct fake_scp *f);
void fake_free(struct fake_scp *f);

#endif
