-- Places in texts
select position('b' in 'aéb'), position('aab' in 'aaaab'), position('' in 'a'), position('x' in ''), strpos('aébé', 'é');
select substr('aéüb', 2, 2), substr('aéüb', 2), substr('aéüb', 9), substr('aéüb', -1, 4), substr('aéüb', 0), substring('éü' from 2 for 1);
select translate('12345', '143', 'ax'), translate('aéa', 'éa', 'xy'), translate('aab', 'aa', 'xy'), translate('abc', '', 'x');
