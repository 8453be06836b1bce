"""What people are told, in the other languages; and what it is called in all of them.

By the English text, or template: names in braces stand for values, and are the same in both.
`FIELDS` has what is said of a field or parameter, under its code. Codes are part of the API:
programs decide by them, so they stay when a sentence is said in another way.
"""

FIELDS: dict[str, dict[str, str]] = {
    "required": {
        "This field is required.": "Este campo es obligatorio.",
        "This parameter is required.": "Este parámetro es obligatorio.",
        "This field is required: ids are to be kept.": (
            "Este campo es obligatorio: se piden los mismos identificadores."
        ),
        "Name the user it belongs to.": "Indique el usuario al que pertenece.",
        "Choose a file.": "Elija un archivo.",
        "Give either email or national_id.": "Indique o bien email o bien national_id.",
    },
    "unknown": {
        "This field is not known here.": "Este campo no se conoce aquí.",
        "This parameter is not known here.": "Este parámetro no se conoce aquí.",
        "This file is not known here.": "Este archivo no se conoce aquí.",
    },
    "repeated": {
        "Give this field once.": "Indique este campo una sola vez.",
        "Give it once.": "Indíquelo una sola vez.",
        "Name each user once.": "Nombre a cada usuario una sola vez.",
    },
    "type": {
        "Give {what}.": "Indique {what}.",
        "Give {what} or null.": "Indique {what} o null.",
        "Send a JSON object.": "Envíe un objeto JSON.",
        "Send it as text.": "Envíelo como texto.",
        "Send it as a file, with a filename.": "Envíelo como archivo, con un nombre de archivo.",
    },
    "too_long": {
        "Give at most {longest} characters.": "Escriba como máximo {longest} caracteres.",
        "Give the file a name of at most {longest} bytes.": (
            "Dé al archivo un nombre de como máximo {longest} bytes."
        ),
        "The line is longer than {limit} bytes.": "La línea tiene más de {limit} bytes.",
    },
    "length": {"Use {least} to {most} characters.": "Use de {least} a {most} caracteres."},
    "blank": {
        "Give at least one character that can be seen.": (
            "Escriba al menos un carácter que se pueda ver."
        ),
    },
    "lines": {"Give it in one line.": "Escríbalo en una sola línea."},
    "characters": {
        "Remove the character {name}, which cannot be shown.": (
            "Quite el carácter {name}, que no se puede mostrar."
        ),
        "Remove the character U+0000, which no text can have here.": (
            "Quite el carácter U+0000, que aquí ningún texto puede tener."
        ),
        "Write whole characters: this has half of a surrogate pair (\\ud800).": (
            "Escriba caracteres completos: aquí hay la mitad de un par sustituto (\\ud800)."
        ),
        "Put at most {most} marks on a letter.": "Ponga como máximo {most} signos en una letra.",
        "This is not UTF-8, or has the character U+0000, which no value can have.": (
            "Esto no es UTF-8, o tiene el carácter U+0000, que ningún valor puede tener."
        ),
        "Send text in UTF-8.": "Envíe texto en UTF-8.",
        "Do not use control characters, such as NUL, tab or a line end.": (
            "No use caracteres de control, como NUL, tabulador o fin de línea."
        ),
    },
    "out_of_range": {
        "Give a whole number from {least} to {most}.": (
            "Indique un número entero de {least} a {most}."
        ),
        "Give a number that is not infinite.": "Indique un número que no sea infinito.",
        "Give a time within the years 1 to 9999, in UTC.": (
            "Indique un momento entre los años 1 y 9999, en UTC."
        ),
        "This is before from, {first}.": "Esto es anterior a from, {first}.",
        "Ask for at most {most} days.": "Pida como máximo {most} días.",
        "This is before starts_on, {starts}.": "Esto es anterior a starts_on, {starts}.",
    },
    "email": {
        "Give an e-mail address such as ada@example.com.": (
            "Indique una dirección de correo como ada@example.com."
        ),
        "Use ASCII letters before the @: not every mail server delivers to other addresses.": (
            "Use letras ASCII antes de la @: no todos los servidores de correo entregan a otras "
            "direcciones."
        ),
    },
    "phone": {
        "Give a phone number that exists, such as +49 30 1234567.": (
            "Indique un número de teléfono que exista, como +49 30 1234567."
        ),
    },
    "national_id": {
        "Use the letters A to Z and the digits 0 to 9 only.": (
            "Use solo las letras de la A a la Z y las cifras del 0 al 9."
        ),
        "Give 4 to 32 letters and digits; spaces, '-', '.' or '/' may group them.": (
            "Indique de 4 a 32 letras y cifras; los espacios, '-', '.' o '/' pueden agruparlas."
        ),
    },
    "common_password": {
        "This password is among the first that anybody would try.": (
            "Esta contraseña es de las primeras que cualquiera probaría."
        ),
    },
    "duplicate": {
        "Another one has this value already.": "Otro tiene ya este valor.",
    },
    "existing": {"It exists, and stays as it is.": "Existe, y se queda como está."},
    "reference": {
        "In {resource} there is no document with this id.": (
            "En {resource} no hay ningún documento con este identificador."
        ),
    },
    "state": {
        "It is {present}, which {wanted} cannot follow.": (
            "Está en {present}, a lo que no puede seguir {wanted}."
        ),
    },
    "own_account": {
        "Administrators cannot do this to themselves. Let another one do it.": (
            "Los administradores no pueden hacerse esto a sí mismos. Que lo haga otro."
        ),
    },
    "forbidden": {
        "Only administrators may create for somebody else. Leave it out.": (
            "Solo los administradores pueden crear para otra persona. Omítalo."
        ),
    },
    "cursor": {
        "Give the `next` of a page of this very list: same filter, same order.": (
            "Indique el `next` de una página de esta misma lista: mismo filtro, mismo orden."
        ),
    },
    "file_name": {"The file's name: {why}": "El nombre del archivo: {why}"},
    "file_type": {
        "Send a file of one of these types: {known}.": (
            "Envíe un archivo de uno de estos tipos: {known}."
        ),
        "The file's content is not {media}.": "El contenido del archivo no es {media}.",
        "The file is empty.": "El archivo está vacío.",
    },
    "file_size": {
        "Send a file of at most {limit} bytes.": "Envíe un archivo de como máximo {limit} bytes.",
    },
    "malformed": {"The body is not JSON: {why}.": "El cuerpo no es JSON: {why}."},
    "unavailable": {
        "The database did not answer in time. Whether it was created is not known.": (
            "La base de datos no respondió a tiempo. No se sabe si se creó."
        ),
    },
}

# Besides those that need a value to be known: "choice", "pattern", "too_short" (expected.py).
CODES = {english: code for code, texts in FIELDS.items() for english in texts}

WORDS: dict[str, str] = {
    "a text": "un texto",
    "a whole number": "un número entero",
    "a number": "un número",
    "true or false": "true o false",
    "a date such as 2026-01-31": "una fecha como 2026-01-31",
    "a time such as 2026-01-31T12:00:00Z": "un momento como 2026-01-31T12:00:00Z",
    "a list": "una lista",
    "an object": "un objeto",
    "a value of another kind": "un valor de otro tipo",
    "an id: 24 hexadecimal digits": "un identificador: 24 cifras hexadecimales",
    "characters": "caracteres",
    "items": "elementos",
    "fields": "campos",
    "one of: {values}": "uno de: {values}",
    "{what} of at least {least}": "{what} de al menos {least}",
    "{what} of at most {most}": "{what} de como máximo {most}",
    "{what} of {least} to {most}": "{what} de {least} a {most}",
    "at most {most} values separated by commas, each {each}": (
        "como máximo {most} valores separados por comas, cada uno {each}"
    ),
    "one or more values separated by commas, each {each}": (
        "uno o más valores separados por comas, cada uno {each}"
    ),
    "it is nested too deeply": "está anidado a demasiada profundidad",
    "it is not as RFC 8259 says": "no es como dice RFC 8259",
    "it is not UTF-8": "no es UTF-8",
    "look at line {line}, column {column}": "mire la línea {line}, columna {column}",
    "{name} is no number": "{name} no es un número",
    "its Content-Type names no boundary": "su Content-Type no indica ningún boundary",
    "its target is no address": "su destino no es una dirección",
    "it must have one Host field": "debe tener un campo Host",
    "its Host field names no host": "su campo Host no nombra ningún servidor",
    "it breaks the rules of RFC 9112": "no cumple las reglas de RFC 9112",
    "it could not be read": "no se pudo leer",
}

DETAILS: dict[str, str] = {
    # What was sent
    "Some fields are not valid.": "Algunos campos no son válidos.",
    "Some parameters are not text.": "Algunos parámetros no son texto.",
    "Some fields do not go with what the document holds.": (
        "Algunos campos no concuerdan con lo que contiene el documento."
    ),
    "The body ended before it was complete.": "El cuerpo terminó antes de estar completo.",
    "The body is larger than this server takes.": (
        "El cuerpo es más grande de lo que acepta este servidor."
    ),
    "The body did not arrive in time.": "El cuerpo no llegó a tiempo.",
    "The body is no {media}: {why}.": "El cuerpo no es {media}: {why}.",
    "Send the body as {media}.": "Envíe el cuerpo como {media}.",
    "Send the body as {one} or {other}.": "Envíe el cuerpo como {one} o {other}.",
    "Send the body as it is, without a Content-Encoding.": (
        "Envíe el cuerpo tal cual, sin Content-Encoding."
    ),
    "The file is too large.": "El archivo es demasiado grande.",
    "{why} {count} were created before.": "{why} Antes se crearon {count}.",
    "The path: {why}": "La ruta: {why}",
    '{header} is malformed. Send * or entity tags, separated by commas: "7" or W/"7".': (
        '{header} está mal formado. Envíe * o etiquetas de entidad, separadas por comas: "7" o '
        'W/"7".'
    ),
    "The request is malformed: {why}.": "La petición está mal formada: {why}.",
    "The request did not arrive in time.": "La petición no llegó a tiempo.",
    "The address is longer than {longest} bytes.": "La dirección tiene más de {longest} bytes.",
    "The header fields are too many, or too large.": (
        "Los campos de cabecera son demasiados, o demasiado grandes."
    ),
    "The only transfer coding that this server takes is chunked.": (
        "La única codificación de transferencia que acepta este servidor es chunked."
    ),
    "The only expectation that this server meets is 100-continue.": (
        "La única expectativa que cumple este servidor es 100-continue."
    ),
    "This server speaks HTTP/1.1 and HTTP/1.0.": "Este servidor habla HTTP/1.1 y HTTP/1.0.",
    # Addresses and documents: whether they exist, and who may change them
    "There is nothing at this address.": "No hay nada en esta dirección.",
    "This address does not take that method.": "Esta dirección no acepta ese método.",
    "There is no document with this id.": "No hay ningún documento con este identificador.",
    "The page has no such file.": "La página no tiene ese archivo.",
    "Only administrators may do this.": "Solo los administradores pueden hacer esto.",
    "You may read this document, and only its owner may change it.": (
        "Usted puede leer este documento, y solo su propietario puede cambiarlo."
    ),
    "Administrators cannot delete themselves. Let another one do it.": (
        "Los administradores no pueden eliminarse a sí mismos. Que lo haga otro."
    ),
    "There are {name} that are no samples. Samples are for an empty system.": (
        "Hay {name} que no son ejemplos. Los ejemplos son para un sistema vacío."
    ),
    # What it meets there
    "The {field} is taken.": "El valor de {field} ya está en uso.",
    "The document is not in a state that this change may follow.": (
        "El documento no está en un estado al que pueda seguir este cambio."
    ),
    "The document is not at a version that If-Match or If-None-Match admits. "
    "Get it again, and repeat the change with its ETag.": (
        "El documento no está en una versión que admita If-Match o If-None-Match. "
        "Vuelva a leerlo, y repita el cambio con su ETag."
    ),
    "Other documents refer to it, by {name}. Change or delete these first.": (
        "Otros documentos se refieren a él, por {name}. Cámbielos o elimínelos antes."
    ),
    "What this Idempotency-Key created has been deleted since.": (
        "Lo que creó este Idempotency-Key se ha eliminado desde entonces."
    ),
    "This Idempotency-Key was used with another body. Choose a new one.": (
        "Este Idempotency-Key se usó con otro cuerpo. Elija uno nuevo."
    ),
    "The first request with this Idempotency-Key is still at work.": (
        "La primera petición con este Idempotency-Key todavía está en curso."
    ),
    "Idempotency-Key is malformed. Send 1 to 255 ASCII characters, best in quotes.": (
        "Idempotency-Key está mal formado. Envíe de 1 a 255 caracteres ASCII, mejor entre comillas."
    ),
    # Accounts
    "These credentials are not right.": "Estas credenciales no son correctas.",
    "The current password is not right.": "La contraseña actual no es correcta.",
    "This account keeps changing. Try again.": (
        "Esta cuenta no deja de cambiar. Inténtelo de nuevo."
    ),
    "Your account was changed at the same moment. Look at it, and try again.": (
        "Su cuenta se cambió en el mismo momento. Mírela, e inténtelo de nuevo."
    ),
    "You have no session with this id.": "Usted no tiene ninguna sesión con este identificador.",
    "Log in, and send the token as 'Authorization: Bearer …'.": (
        "Inicie sesión, y envíe el token como 'Authorization: Bearer …'."
    ),
    "The token has expired. Log in again.": "El token ha caducado. Inicie sesión de nuevo.",
    "The token is not valid. Log in again.": "El token no es válido. Inicie sesión de nuevo.",
    "The token is no longer valid. Log in again.": (
        "El token ya no es válido. Inicie sesión de nuevo."
    ),
    "The refresh token is no longer valid. Log in again.": (
        "El token de renovación ya no es válido. Inicie sesión de nuevo."
    ),
    "For this, log in again: it takes a log-in within the last {seconds} s.": (
        "Para esto, inicie sesión de nuevo: hace falta haberla iniciado en los últimos {seconds} s."
    ),
    "With cookies, send the CSRF token that log-in answered with as X-CSRF-TOKEN.": (
        "Con cookies, envíe como X-CSRF-TOKEN el token CSRF que dio el inicio de sesión."
    ),
    # The server, and how it is
    "There were too many of these requests. Try again in {seconds} s.": (
        "Hubo demasiadas peticiones de estas. Inténtelo de nuevo dentro de {seconds} s."
    ),
    "The database did not answer in time. Whether the request took effect is not known.": (
        "La base de datos no respondió a tiempo. No se sabe si la petición tuvo efecto."
    ),
    "There are more requests than this server can answer in time. This one had no effect.": (
        "Hay más peticiones de las que este servidor puede responder a tiempo. Esta no tuvo efecto."
    ),
    "There are too many event streams. Close some, or ask now and then instead.": (
        "Hay demasiados flujos de eventos. Cierre alguno, o pregunte de vez en cuando."
    ),
    "Nothing watches the cluster: {name} is not set.": (
        "Nada observa el clúster: {name} no está definido."
    ),
    "The cluster's exporter does not answer.": "El exportador del clúster no responde.",
    "Something went wrong on our side.": "Algo falló por nuestra parte.",
    "This server is about to stop.": "Este servidor está a punto de detenerse.",
    "The routers answer; no shard has answered a majority read in the last {seconds} s.": (
        "Los enrutadores responden; ningún fragmento ha respondido a una lectura de mayoría en los "
        "últimos {seconds} s."
    ),
    "No router has answered a majority read in the last {seconds} s.": (
        "Ningún enrutador ha respondido a una lectura de mayoría en los últimos {seconds} s."
    ),
}

SPANISH: dict[str, str] = {
    **DETAILS,
    **WORDS,
    **{english: spanish for texts in FIELDS.values() for english, spanish in texts.items()},
}

SPANISH_TITLES: dict[int, str] = {
    400: "Petición incorrecta",
    401: "No autorizado",
    403: "Prohibido",
    404: "No encontrado",
    405: "Método no permitido",
    408: "Tiempo de espera agotado",
    409: "Conflicto",
    410: "Ya no existe",
    412: "Condición previa no cumplida",
    413: "Contenido demasiado grande",
    414: "Dirección demasiado larga",
    415: "Tipo de contenido no admitido",
    417: "Expectativa no cumplida",
    422: "Contenido no procesable",
    428: "Se requiere una condición previa",
    429: "Demasiadas peticiones",
    431: "Cabeceras demasiado grandes",
    500: "Error interno del servidor",
    501: "No implementado",
    503: "Servicio no disponible",
    505: "Versión de HTTP no admitida",
}
