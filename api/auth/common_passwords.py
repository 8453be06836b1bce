"""Passwords everybody tries first, and the words they are made of.

Compared after lower-casing, and with digits and signs around them removed, so `Password123!` is
found as `password`.
"""

COMMON = frozenset(
    """
    password passwort passw0rd password1 pass word passe admin administrator root toor login
    welcome letmein changeme change default guest user username test tester testing demo sample
    secret topsecret mysecret nothing whatever trustno1 access master superman batman spiderman
    ironman starwars pokemon naruto minecraft fortnite football baseball basketball soccer hockey
    liverpool chelsea arsenal barcelona realmadrid juventus yankees cowboys steelers lakers
    qwerty qwertz azerty qwertyuiop qwertyui qwerty123 asdfghjkl asdfasdf asdfgh zxcvbnm zxcvbn
    1q2w3e4r 1q2w3e4r5t q1w2e3r4 1qaz2wsx qazwsx qazwsxedc zaq12wsx 1234qwer qwer1234 qweasdzxc
    12345678 123456789 1234567890 87654321 987654321 0123456789 11223344 12341234 123123123
    12344321 147258369 123654789 741852963 1029384756 31415926 00000000 11111111 88888888
    iloveyou ilovegod loveyou lovely love babygirl princess sweetheart sunshine shadow dragon
    monkey tigger tiger lion eagle falcon phoenix butterfly flower chocolate cookie cheese banana
    michael jennifer jessica ashley amanda daniel thomas robert charlie jordan andrew joshua
    matthew michelle nicole anthony william elizabeth samantha alexander victoria summer winter
    spring autumn january february monday friday sunday computer internet google facebook
    instagram whatsapp youtube samsung iphone android windows microsoft apple linux ubuntu
    mongodb mongo shardstack database server system network service support manager company
    office freedom blessed jesus christ heaven angel hello helloworld hallo hola bonjour
    mustang ferrari porsche mercedes harley corvette london paris berlin america canada brazil
    qwertyuiopasdfghjklzxcvbnm
    abc abcd abc123 abcd1234 a1b2c3d4 aa123456 abcdefgh 1a2b3c4d p@ssw0rd p@ssword pa55word
    """.split()  # noqa: SIM905 - a block of words reads better than a list of strings
)
