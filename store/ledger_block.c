#include "store/ledger_block.h"

#include <stdio.h>
#include <string.h>

#include "store/ledger_in.h"

enum err ledger_mark(struct ledger *l, enum ledger_mark kind, uint64_t seq,
		     const char *name)
{
	struct mirror_blocks *b = &l->m.blocks;
	uint64_t block = ledger_block_of(seq);
	uint64_t h = ledger_mix(ledger_hash(name) + (uint64_t)kind + block * 8);
	size_t at = h % LEDGER_MARKS_CACHED;
	sqlite3_stmt *st = l->st[ST_MARK];

	if (name[0] == '\0')
		return ERR_OK;
	if (b->cache[at].kind == kind && b->cache[at].block == block &&
	    strcmp(b->cache[at].name, name) == 0)
		return ERR_OK;
	b->cache[at].kind = kind;
	b->cache[at].block = block;
	snprintf(b->cache[at].name, sizeof(b->cache[at].name), "%s", name);
	db_bind_int(st, 1, (int64_t)kind);
	db_bind_text(st, 2, name);
	db_bind_u64(st, 3, block);
	return db_run(st);
}

enum err ledger_block_flush(struct ledger *l)
{
	struct mirror_blocks *b = &l->m.blocks;
	sqlite3_stmt *st = l->st[ST_BLOCK];

	if (!b->dirty)
		return ERR_OK;
	b->dirty = false;
	db_bind_u64(st, 1, b->block);
	db_bind_int(st, 2, b->first_ms);
	db_bind_int(st, 3, b->last_ms);
	return db_run(st);
}

static enum err note_time(struct ledger *l, uint64_t block, int64_t ms)
{
	struct mirror_blocks *b = &l->m.blocks;
	enum err e = ERR_OK;

	if (b->dirty && b->block != block)
		e = ledger_block_flush(l);
	if (!b->dirty) {
		b->block = block;
		b->first_ms = b->last_ms = ms;
		b->dirty = true;
	}
	if (ms < b->first_ms)
		b->first_ms = ms;
	if (ms > b->last_ms)
		b->last_ms = ms;
	return e;
}

enum err ledger_block_add(struct ledger *l, const struct instance *in,
			  uint64_t seq)
{
	enum err e = note_time(l, ledger_block_of(seq), in->received_ms);

	if (e == ERR_OK)
		e = ledger_mark(l, MARK_DEVICE, seq, in->device);
	if (e == ERR_OK)
		e = ledger_mark(l, MARK_CALLING_AE, seq, in->calling_ae);
	return e;
}
