"""Conditions that take a daemon of an odd kind: each is provoked, and its line
read."""
import webclient
from test_words import check_line


def test_a_page_that_is_too_long_is_told(daemons, tmp_path):
    """Every device shows every route that may take its images: a thousand times
    250 of them are more than a page may have. The other pages do not mind."""
    titles = ['A%d' % n for n in range(250)]
    users = tmp_path / 'users'
    webclient.passwd(users, 'rita', 'auditor')
    config = webclient.config(tmp_path, {'users': str(users)})
    config['listeners']['modalities']['ae_titles'] = titles
    config['devices'] = {
        'd%d' % n: {'ae_title': 'D%d' % n,
                    'address': '127.0.%d.%d' % (n // 100 + 1, n % 100 + 1)}
        for n in range(1000)}
    config['routes'] = [{'service': 'storage', 'called': t,
                         'forward': ['files']} for t in titles]
    daemon = daemons(config)
    viewer = webclient.Viewer(webclient.await_page(daemon))
    viewer.login('rita')
    assert viewer.get('/configuration').status == 500
    line = daemon.wait_log(' web-page-failed ')
    assert ' path=/configuration ' in line
    check_line(line, 'CV9006')
    assert viewer.get('/').status == 200
