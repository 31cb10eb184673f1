"""The status page as its viewers see it: every view, as each role, with
Chromium and axe, and as bytes."""
import html
import http.cookiejar
import io
import json
import re
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import pytest

import webpages
from culvert import until


@pytest.fixture(scope='module')
def site(tmp_path_factory, pki, tls):
    s = webpages.Site(tmp_path_factory.mktemp('site'), pki, tls)
    yield s
    s.stop()


class Viewer:
    """Somebody who has logged in, without a browser."""

    def __init__(self, base, user=None):
        self.base = base
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        if user:
            form = self.get('/login')
            token = re.search(r'name="csrf" value="([0-9a-f]+)"', form)[1]
            self.opener.open(base + '/login', urllib.parse.urlencode({
                'name': user, 'password': webpages.PASSWORD, 'next': '/',
                'csrf': token}).encode(), timeout=30).read()

    def get(self, path):
        with self.opener.open(self.base + path, timeout=30) as r:
            return r.read().decode()

    def status(self, path):
        try:
            self.get(path)
        except urllib.error.HTTPError as e:
            return e.code
        return 200


@pytest.fixture(scope='module')
def operator(site):
    return Viewer(site.base, 'olga')


@pytest.fixture(scope='module')
def auditor(site):
    return Viewer(site.base, 'berta')


@pytest.mark.slow
def test_every_view_is_good_in_a_browser(site, tmp_path):
    plan = site.plan(tmp_path)
    found = webpages.walk(plan, tmp_path)
    assert found['problems'] == [], '\n'.join(found['problems'][:40])
    # every view of a role, 2 languages, with and without scripts; of each 2
    # themes at 3 widths; axe 3 times in the one language, once in the other
    assert found['loads'] == 4 * sum(
        len(r['views']) for r in plan['roles'].values())
    assert found['looks'] == 6 * found['loads']
    assert found['axe'] == 2 * found['loads'] + 2


def test_markup_from_outside_is_shown_as_text(site, operator, auditor):
    pages = [operator.get(p) for p in (
        '/', '/wall', '/transfers', '/refused',
        '/transfers/' + webpages.study(3),
        '/transfers?study=' + urllib.parse.quote('"><script>alert(3)'))]
    pages += [auditor.get(p) for p in ('/audit', '/configuration')]
    everything = '\n'.join(pages)
    assert html.escape(webpages.HOSTILE) in everything
    assert html.escape(webpages.REASON) in everything
    assert html.escape('"><script>alert(3)') in everything
    for bad in (webpages.HOSTILE, '<script>alert', '<i>', "onclick=x()>"):
        assert bad not in everything, bad
    for page in pages:
        assert not re.search(r'<[^>]+\son[a-z]+=', page)
        assert not re.search(r'<[^>]+\sstyle=', page)
        assert '<script>' not in page


def test_one_line_says_what_to_do_first(operator):
    page = operator.get('/')
    heading = re.search(r'<h1>(.*?)</h1>', page)[1]
    assert 'research' in heading or 'old-archive' in heading
    assert 'First:' in page and 'data-level="bad"' in page
    assert re.search(r'clear-text">[^<]*plaintext: no TLS in it', page)


def test_a_refusal_says_what_would_admit(operator):
    page = html.unescape(operator.get('/refused'))
    assert 'ae_title: [CT2, CT9]' in page
    assert 'ae_titles: [ARCHIVE, WORKLIST, PACS]' in page
    assert 'address: ["127.0.0.2", "127.0.0.1"]' in page


def test_a_search_finds_by_each_field_and_pages(operator):
    def rows(query):
        page = operator.get('/transfers?' + urllib.parse.urlencode(query))
        return page.count('<tr role="row" data-level'), page

    assert rows({'study': webpages.study(2)})[0] == 16
    assert rows({'destination': 'research'})[0] == 8
    assert rows({'device': 'ultrasound-cart-7', 'state': 'queued'})[0] == 4
    assert rows({'to': '2020-01-01T00:00'})[0] == 0
    assert 'not valid' in rows({'from': 'yesterday'})[1]
    seen, first = rows({'device': 'ct-room-2'})
    assert seen == 25
    n, page = rows({'destination': 'cloud'})
    total, query = n, re.search(r'href="/transfers\?([^"]*older=\d+)', page)
    while query:
        page = operator.get('/transfers?' + html.unescape(query[1]))
        total += page.count('<tr role="row" data-level')
        query = re.search(r'href="/transfers\?([^"]*older=\d+)', page)
    assert total == 33


def test_the_audit_is_checked_row_by_row(auditor):
    page = auditor.get('/audit?event=association-refused')
    assert 'are as they were written' in page
    assert 'CT9' in page and 'instances-received</span></td>' not in page
    assert re.search(r'href="/audit/export\?[^"]*format=dicom', page)


def test_a_download_holds_what_the_filter_shows(site, auditor):
    def rows(query):
        with auditor.opener.open(site.base + '/audit/export?format=jsonl&'
                                 + query, timeout=60) as r:
            kept = zipfile.ZipFile(io.BytesIO(r.read()))
        name, = (n for n in kept.namelist() if n.endswith('.jsonl'))
        return [json.loads(x) for x in kept.read(name).splitlines()]

    bad = rows('outcome=minor')
    assert bad and all(int(r['outcome']) >= 4 for r in bad)
    sent = rows('destination=cloud&event=instances-transferred')
    assert sent and {r['destination'] for r in sent} == {'cloud'}


def test_the_words_of_the_page_are_chinese(operator, auditor):
    page = operator.get('/?lang=zh')
    assert 'lang="zh-Hans"' in page and '目的地' in page
    text = re.sub(r'<[^>]*>', ' ', page)
    for english in ('Destinations', 'Queue', 'All is well', 'First:'):
        assert english not in text
    assert '今日' in text and 'Today' not in text
    page = auditor.get('/configuration?lang=zh')
    rights = page[page.index('角色与权限'):]
    assert not re.findall(r'<span class="under">[a-z]', rights)
    page = auditor.get('/audit?lang=zh')
    named = re.findall(r'<option value="([a-z-]+)">([^<]*)</option>', page)
    events = dict(named[:37])
    assert events['association-refused'] == '关联被拒绝'
    assert not [n for n, text in events.items()
                if re.fullmatch(r'[ -~]+', text)]


def test_receipts_and_exports_are_downloaded(site, operator, auditor):
    receipt = json.loads(operator.get(
        '/transfers/receipt?format=json&study=' + webpages.study(1)))
    assert webpages.study(1) in json.dumps(receipt)
    with auditor.opener.open(site.base + '/audit/export?format=csv'
                             '&event=association-refused', timeout=60) as r:
        kept = zipfile.ZipFile(io.BytesIO(r.read()))
        assert 'attachment' in r.headers['Content-Disposition']
    assert any(b'CT9' in kept.read(n) for n in kept.namelist())
    assert operator.status('/audit/export?format=csv') == 403


def test_what_changes_comes_by_itself(site, operator):
    with operator.opener.open(site.base + '/events', timeout=30) as r:
        assert r.headers['Content-Type'].startswith('text/event-stream')
        line = until('an event', lambda: (
            lambda x: x if x.startswith(b'data:') else None)(r.readline()))
    parts = {p['id']: p['html'] for p in json.loads(line[5:])['parts']}
    assert 'part-verdict' in parts or 'part-destinations' in parts


def test_figures_over_time_are_there_for_each_range(operator):
    for name in ('1h', '24h', '90d'):
        data = json.loads(operator.get('/series?range=' + name))
        assert data['n'] == len(data['in']) == len(data['p99']) <= 2401
        assert sum(1 for v in data['in'] if v) > 20
    assert 'As a table' in operator.get('/?range=7d&lang=en')
